"""Use cases of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.evaluations import Evaluation, EvaluationSpec, Judgement
from mimic_server.domain.ids import AgentId, EvaluationId, SessionId, new_uuid
from mimic_server.domain.messages import Transcript, Usage
from mimic_server.domain.ports import LanguageModel, Listing, Page, Storage, UnitOfWork
from mimic_server.domain.teams import Principal
from mimic_server.evaluation.compile import CompiledEvaluation, compile_evaluation
from mimic_server.evaluation.judge import judge
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.drafting import draft_evaluations, taken_names
from mimic_server.services.patches import Patch
from mimic_server.services.repeats import once, uncontended
from mimic_server.services.session_runner import all_messages
from mimic_server.services.violations import under


@dataclass(frozen=True, slots=True)
class EvaluationDrafts:
    """Evaluations that a language model wrote; nothing is stored."""

    evaluations: Sequence[EvaluationSpec]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Trial:
    """What an evaluation found of a transcript; nothing is stored."""

    spec: EvaluationSpec
    judgement: Judgement
    created_at: datetime
    evaluation_id: EvaluationId | None
    """None: the evaluation is not a stored one."""
    session_id: SessionId | None
    """None: the transcript was given."""


class EvaluationService:
    """The checks of a team's agents."""

    def __init__(self, storage: Storage, model: LanguageModel, *, clock: Clock = utc_now) -> None:
        self._storage = storage
        self._model = model
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        agent_id: AgentId,
        spec: EvaluationSpec,
        request_id: str = "",
        *,
        enabled: bool = True,
    ) -> Evaluation:
        """Stores an evaluation.

        Raises:
            NotFoundError: There is no such agent.
            InvalidInputError: Its method lacks a field, or its regex, script or thresholds don't compile.
        """
        _compiled(spec)
        now = self._clock()
        evaluation = Evaluation(
            EvaluationId(new_uuid()),
            principal.team_id,
            agent_id,
            spec,
            now,
            now,
            enabled=enabled,
            request_id=request_id,
        )

        async def store() -> Evaluation:
            async with self._storage.team(principal.team_id) as unit:
                earlier = await unit.evaluations.by_request_id(request_id)
                if earlier is None:
                    await unit.agents.get(agent_id)
                    await unit.evaluations.add(evaluation)
            return earlier or evaluation

        return await once(store)

    async def get(self, principal: Principal, evaluation_id: EvaluationId) -> Evaluation:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as unit:
            return await unit.evaluations.get(evaluation_id)

    async def list(
        self, principal: Principal, page: Page, *, agent_id: AgentId | None = None
    ) -> Listing[Evaluation]:
        """The evaluations of one agent, or all. Raises InvalidInputError for a foreign page token."""
        filters: dict[str, Any] = {} if agent_id is None else {"agent_id": agent_id}
        async with self._storage.team(principal.team_id) as unit:
            return await unit.evaluations.list(page, **filters)

    async def update(
        self,
        principal: Principal,
        evaluation_id: EvaluationId,
        patch: Patch,
        *,
        enabled: bool | None = None,
    ) -> Evaluation:
        """Changes fields of an evaluation, and whether it is enabled (None: as it is).

        Raises:
            NotFoundError: There is no such evaluation.
            InvalidInputError: Of the changed evaluation; paths begin with `evaluation`.
            ConflictError: The patch names another etag than the stored one.
        """

        async def change() -> Evaluation:
            async with self._storage.team(principal.team_id) as unit:
                old = await unit.evaluations.get(evaluation_id)
                patch.check(old.etag)
                spec = patch.apply(old.spec, "evaluation")
                _compiled(spec)
                new = replace(
                    old,
                    spec=spec,
                    enabled=old.enabled if enabled is None else enabled,
                    updated_at=self._clock(),
                    etag=old.etag + 1,
                )
                await unit.evaluations.save(new, if_etag=old.etag)
            return new

        return await uncontended(change, named_etag=patch.etag is not None)

    async def delete(self, principal: Principal, evaluation_id: EvaluationId) -> None:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as unit:
            await unit.evaluations.remove(evaluation_id)

    async def generate(
        self, principal: Principal, agent_id: AgentId, options: BootstrapOptions
    ) -> EvaluationDrafts:
        """Drafts about `options.evaluations` evaluations with the language model.

        Raises:
            NotFoundError: There is no such agent.
            FaultError: The language model failed; a SIMULATOR fault.
        """
        async with self._storage.team(principal.team_id) as unit:
            agent = await unit.agents.get(agent_id)
            _, taken = await taken_names(unit, agent_id)
        spent = Usage()

        async def drafted(usage: Usage, _: int) -> None:
            nonlocal spent
            spent += usage

        evaluations = await draft_evaluations(self._model, agent.spec, options, taken, drafted)
        return EvaluationDrafts(evaluations, spent)

    async def test(
        self,
        principal: Principal,
        evaluation: EvaluationId | EvaluationSpec,
        transcript: SessionId | Transcript,
    ) -> Trial:
        """Tries an evaluation, stored or not, on a session's last attempt or a given transcript.

        Raises:
            NotFoundError: There is no such evaluation or session.
            InvalidInputError: The evaluation does not compile.
        """
        evaluation_id = session_id = None
        async with self._storage.team(principal.team_id) as unit:
            if isinstance(evaluation, EvaluationSpec):
                spec = evaluation
            else:
                evaluation_id, spec = evaluation, (await unit.evaluations.get(evaluation)).spec
            if not isinstance(transcript, Transcript):
                session_id, transcript = transcript, await _last_attempt(unit, transcript)
        judgement = await judge(_compiled(spec), transcript, self._model)
        return Trial(spec, judgement, self._clock(), evaluation_id, session_id)


def _compiled(spec: EvaluationSpec) -> CompiledEvaluation:
    try:
        return compile_evaluation(spec)
    except InvalidInputError as error:
        raise under("evaluation", error) from None


async def _last_attempt(unit: UnitOfWork, session_id: SessionId) -> Transcript:
    """What was said in a session's last attempt, as its evaluations see it."""
    await unit.sessions.get(session_id)
    messages = await all_messages(unit, session_id)
    last = max((message.attempt for message in messages), default=0)
    return Transcript(tuple(message for message in messages if message.attempt == last))
