"""Playing a plan against a server: what it makes, its run, and what happens meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.json_format import ParseDict
from mimic.v1 import (
    agents_pb2,
    bootstraps_pb2,
    common_pb2,
    evaluations_pb2,
    personas_pb2,
    runs_pb2,
    sessions_pb2,
)

from mimic_server.cli.errors import CommandError, Exit
from mimic_server.cli.plan import Drafts, Plan
from mimic_server.cli.remote import Remote, as_message

SERVER_BACK_SECONDS = 60.0
"""How long a run waits for its server to come back."""


class View(Protocol):
    """Shows what happens."""

    def status(self, text: str) -> None:
        """What is being done before the run."""
        ...

    def run(self, run: runs_pb2.Run) -> None:
        """The run changed."""
        ...

    def session(self, session: sessions_pb2.Session) -> None:
        """One of its sessions changed."""
        ...

    def followed(self, event: sessions_pb2.WatchSessionResponse) -> None:
        """Something happened in the session that is followed."""
        ...

    @property
    def follows(self) -> bool:
        """Whether one session's transcript is wanted."""
        ...


@dataclass(frozen=True)
class Prepared:
    """What a plan needs before it can run."""

    agent: agents_pb2.Agent
    persona_ids: Sequence[str]
    evaluation_ids: Sequence[str]
    setup: agents_pb2.ConnectionSetup


async def prepare(remote: Remote, plan: Plan, view: View) -> Prepared:
    """Makes the agent with its connection, personas and evaluations, or finds what the plan made earlier.

    Raises:
        CommandError: Something of it is refused, or its drafts fail.
    """
    view.status(f"reaching {plan.agent.name} over {plan.channel.name}")
    connection = agents_pb2.Connection(channel=plan.channel.name)
    if plan.channel.mode is not None:
        ParseDict({"mode": f"MODE_{plan.channel.mode}"}, connection)
    connection.settings.update(plan.channel.settings)
    created = await remote.call(
        agents_pb2.CreateAgentRequest(
            agent=as_message(plan.agent, agents_pb2.Agent), connections=[connection], request_id=plan.key
        ),
        agents_pb2.CreateAgentResponse,
    )
    agent = created.agent
    persona_ids: list[str] = []
    evaluation_ids: list[str] = []
    if plan.bootstrap is not None:
        view.status("drafting " + _wanted(plan))
        bootstrap = await _bootstrap(remote, agent.id, plan)
        persona_ids += bootstrap.persona_ids
        evaluation_ids += bootstrap.evaluation_ids
    if not isinstance(plan.personas, Drafts):
        for index, spec in enumerate(plan.personas):
            persona = as_message(spec, personas_pb2.Persona)
            persona.agent_id = agent.id
            made = await remote.call(
                personas_pb2.CreatePersonaRequest(persona=persona, request_id=f"{plan.key}:{index}"),
                personas_pb2.CreatePersonaResponse,
            )
            persona_ids.append(made.persona.id)
    if not isinstance(plan.evaluations, Drafts):
        for index, check in enumerate(plan.evaluations):
            evaluation = as_message(check, evaluations_pb2.Evaluation)
            evaluation.agent_id = agent.id
            stored = await remote.call(
                evaluations_pb2.CreateEvaluationRequest(
                    evaluation=evaluation, request_id=f"{plan.key}:{index}"
                ),
                evaluations_pb2.CreateEvaluationResponse,
            )
            evaluation_ids.append(stored.evaluation.id)
    setup = created.connection_setups[0] if created.connection_setups else agents_pb2.ConnectionSetup()
    return Prepared(agent, persona_ids, evaluation_ids, setup)


async def play(remote: Remote, plan: Plan, prepared: Prepared, view: View) -> runs_pb2.RunReport:
    """Runs a plan and shows it, and returns its report. Cancelled, it cancels the run.

    Raises:
        CommandError: The run cannot be made, or the server is lost.
    """
    options = as_message(plan.run_options, runs_pb2.RunOptions)
    created = await remote.call(
        runs_pb2.CreateRunRequest(
            agent_id=prepared.agent.id,
            name=plan.name,
            persona_ids=prepared.persona_ids,
            evaluation_ids=prepared.evaluation_ids,
            options=options,
        ),
        runs_pb2.CreateRunResponse,
    )
    run_id = created.run.id
    try:
        await _watch(remote, run_id, view)
    except asyncio.CancelledError:
        await remote.call(runs_pb2.CancelRunRequest(run_id=run_id), runs_pb2.CancelRunResponse)
        await _watch(remote, run_id, view)
    report = await remote.call(runs_pb2.GetReportRequest(run_id=run_id), runs_pb2.GetReportResponse)
    return report.report


def exit_of(report: runs_pb2.RunReport) -> Exit:
    """What the command's exit says of a run."""
    match report.run.outcome:
        case runs_pb2.RUN_OUTCOME_PASSED:
            return Exit.PASSED
        case runs_pb2.RUN_OUTCOME_FAILED:
            return Exit.FAILED
    broken = sum(fault.count for fault in report.faults)
    if broken and broken == report.run.sessions_total:
        return Exit.INFRASTRUCTURE
    return Exit.INCONCLUSIVE


async def _watch(remote: Remote, run_id: str, view: View) -> None:
    """Watches a run to its end, over restarts of the server.

    Raises:
        CommandError: The server does not come back.
    """
    give_up = 0.0
    while True:
        try:
            await _watch_once(remote, run_id, view)
        except CommandError as error:
            if error.exit_code != Exit.INFRASTRUCTURE:
                raise
            now = time.monotonic()
            give_up = give_up or now + SERVER_BACK_SECONDS
            if now > give_up:
                later = f"once it is back: mimic runs get-report {run_id}"
                raise CommandError(f"{error.message}; {later}", Exit.INFRASTRUCTURE) from None
            view.status("the server is gone; waiting for it to come back")
            await asyncio.sleep(1)
        else:
            return


async def _watch_once(remote: Remote, run_id: str, view: View) -> None:
    following: asyncio.Task[None] | None = None
    request = runs_pb2.WatchRunRequest(run_id=run_id)
    async for event in remote.stream(request, runs_pb2.WatchRunResponse):
        if event.HasField("run"):
            view.run(event.run)
            continue
        view.session(event.session)
        if following is None and view.follows and event.session.state == sessions_pb2.SESSION_STATE_RUNNING:
            following = asyncio.create_task(_follow(remote, event.session.id, view))
    if following is not None:
        await following


async def _follow(remote: Remote, session_id: str, view: View) -> None:
    request = sessions_pb2.WatchSessionRequest(session_id=session_id)
    async for event in remote.stream(request, sessions_pb2.WatchSessionResponse):
        view.followed(event)


async def _bootstrap(remote: Remote, agent_id: str, plan: Plan) -> bootstraps_pb2.Bootstrap:
    assert plan.bootstrap is not None  # noqa: S101 - the caller has looked
    started = await remote.call(
        bootstraps_pb2.StartBootstrapRequest(
            agent_id=agent_id,
            options=as_message(plan.bootstrap, bootstraps_pb2.BootstrapOptions),
            request_id=plan.key,
        ),
        bootstraps_pb2.StartBootstrapResponse,
    )
    bootstrap = started.bootstrap
    request = bootstraps_pb2.WatchBootstrapRequest(bootstrap_id=bootstrap.id)
    async for event in remote.stream(request, bootstraps_pb2.WatchBootstrapResponse):
        bootstrap = event.bootstrap
    if bootstrap.state != common_pb2.JOB_STATE_COMPLETED:
        error = bootstrap.error or "it was cancelled"
        raise CommandError(f"personas and evaluations could not be drafted: {error}", Exit.INFRASTRUCTURE)
    return bootstrap


def _wanted(plan: Plan) -> str:
    kinds = [
        name
        for name, wanted in (("personas", plan.personas), ("evaluations", plan.evaluations))
        if isinstance(wanted, Drafts)
    ]
    return " and ".join(kinds)
