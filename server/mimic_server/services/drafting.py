"""Drafts personas and evaluations for an agent with a language model. Stores nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mimic_server.domain.agents import AgentSpec
from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.ids import AgentId
from mimic_server.domain.messages import Usage
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.ports import LanguageModel, Page, UnitOfWork
from mimic_server.simulation.drafts import EvaluationDraftsTask, PersonaDraftTask

_AT_ONCE = 8
"""Calls of the model for one set of personas."""

Drafted = Callable[[Usage, int], Awaitable[None]]
"""Told after each call of the model: what it cost, and how many drafts it brought."""


async def draft_personas(
    model: LanguageModel,
    agent: AgentSpec,
    options: BootstrapOptions,
    taken: tuple[str, ...],
    drafted: Drafted,
) -> Sequence[PersonaSpec]:
    """Drafts personas, some at once, each by a call of its own.

    Args:
        model: Who drafts.
        agent: For which agent.
        options: How many, and what to look at.
        taken: Names that the agent's personas have already.
        drafted: Told after each.

    Raises:
        FaultError: A call failed; a SIMULATOR fault.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(index: int) -> PersonaSpec:
        async with slots:
            answer = await model.answer(PersonaDraftTask(agent, options, index, taken))
        await drafted(answer.usage, 1)
        return answer.value

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(index)) for index in range(options.personas)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def draft_evaluations(
    model: LanguageModel,
    agent: AgentSpec,
    options: BootstrapOptions,
    taken: tuple[str, ...],
    drafted: Drafted,
) -> Sequence[EvaluationSpec]:
    """Drafts evaluations by one call. Arguments and errors as of `draft_personas`."""
    if not options.evaluations:
        return ()
    answer = await model.answer(EvaluationDraftsTask(agent, options, taken))
    await drafted(answer.usage, len(answer.value.evaluations))
    return answer.value.evaluations


async def taken_names(unit: UnitOfWork, agent_id: AgentId) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of an agent's personas and of its evaluations, the newest thousand of each."""
    personas = await unit.personas.list(Page(size=1000), agent_id=agent_id)
    evaluations = await unit.evaluations.list(Page(size=1000), agent_id=agent_id)
    return tuple(p.spec.name for p in personas.items), tuple(e.spec.name for e in evaluations.items)
