from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mimic_server.domain.bootstraps import Bootstrap, BootstrapOptions, BootstrapStep
from mimic_server.domain.errors import FaultError, NotFoundError, UnavailableError
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import AgentId
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.ports import Answer, Page
from mimic_server.domain.runs import JobState
from mimic_server.services import bootstraps as module
from mimic_server.services.bootstraps import BootstrapService
from mimic_server.services.feed import Feed
from mimic_server.simulation.drafts import EvaluationDrafts, EvaluationDraftsTask, PersonaDraftTask
from mimic_server.storage import SqlStorage
from mimic_server.storage.repositories import SqlRepository
from structlog.testing import capture_logs

from tests.server.services.ground import ADMIN, NullOrchestrator, stored_agent
from tests.support.local.model import ListedModel

OPTIONS = BootstrapOptions(personas=3, evaluations=2)
FAULT = Fault(FaultSource.SIMULATOR, "MODEL_UNAVAILABLE", "the model is down", "start it")


def drafts(task: Any) -> Any:
    if isinstance(task, PersonaDraftTask):
        return PersonaSpec(name=f"Persona {task.index}", goals=("help",))
    check = {"metric": "count", "method": "regex_match", "regex": "x", "pass_criteria": {"pass": "== 0"}}
    specs = [{**check, "name": f"Check {index}"} for index in range(task.options.evaluations)]
    return EvaluationDrafts(evaluations=tuple(map(EvaluationSpec.parse, specs)))


class SlowModel(ListedModel):
    """A model whose answers wait for `go`."""

    def __init__(self, answers: Callable[[Any], Any] = drafts) -> None:
        super().__init__(answers)
        self.go, self.asked = asyncio.Event(), asyncio.Event()
        self.cancelled = 0

    async def answer(self, task: Any) -> Answer[Any]:
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().answer(task)


def service(storage: SqlStorage, model: ListedModel, feed: Feed | None = None) -> BootstrapService:
    return BootstrapService(storage, model, NullOrchestrator(), feed or Feed())


async def saved(storage: SqlStorage, agent_id: AgentId) -> tuple[list[str], list[str]]:
    async with storage.team(ADMIN.team_id) as unit:
        personas = await unit.personas.list(Page(1000), agent_id=agent_id)
        evaluations = await unit.evaluations.list(Page(1000), agent_id=agent_id)
    return sorted(p.spec.name for p in personas.items), sorted(e.spec.name for e in evaluations.items)


ALL = (["Persona 0", "Persona 1", "Persona 2"], ["Check 0", "Check 1"])
NOTHING: tuple[list[str], list[str]] = ([], [])


async def test_its_drafts_are_saved_together_and_its_progress_is_seen(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    bootstraps = service(storage, ListedModel(drafts))
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    assert begun.state is JobState.PENDING

    async def watch() -> list[Bootstrap]:
        return [change async for change in bootstraps.watch(ADMIN, begun.id)]

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    ended = await bootstraps.execute(ADMIN.team_id, begun.id)
    seen = await watching
    assert ended.state is JobState.COMPLETED
    assert (ended.personas_done, ended.evaluations_done) == (3, 2)
    assert (len(ended.persona_ids), len(ended.evaluation_ids)) == (3, 2)
    assert (ended.usage.calls, ended.model, ended.error) == (4, "listed", "")
    assert await saved(storage, agent.id) == ALL
    assert seen[-1] == ended
    assert [change.rev for change in seen] == sorted({change.rev for change in seen})
    assert {change.step for change in seen} == set(BootstrapStep)
    assert sorted({change.personas_done for change in seen}) == [0, 1, 2, 3]


async def test_personas_and_evaluations_are_drafted_at_once(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    model, kinds, everyone = ListedModel(drafts), set(), asyncio.Barrier(4)

    async def answer(task: Any) -> Answer[Any]:
        kinds.add(type(task))
        async with asyncio.timeout(5):
            await everyone.wait()
        return await ListedModel.answer(model, task)

    model.answer = answer  # type: ignore[method-assign]
    bootstraps = service(storage, model)
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    ended = await bootstraps.execute(ADMIN.team_id, begun.id)
    assert ended.state is JobState.COMPLETED
    assert kinds == {PersonaDraftTask, EvaluationDraftsTask}


async def test_a_crash_in_the_middle_costs_nothing_but_time(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    model = SlowModel()
    begun = await service(storage, model).start(ADMIN, agent.id, OPTIONS)
    crashing = asyncio.ensure_future(service(storage, model).execute(ADMIN.team_id, begun.id))
    await model.asked.wait()
    crashing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crashing
    assert await saved(storage, agent.id) == NOTHING
    again = service(storage, ListedModel(drafts))
    assert (await again.get(ADMIN, begun.id)).state is JobState.RUNNING
    ended = await again.execute(ADMIN.team_id, begun.id)
    assert (ended.personas_done, ended.evaluations_done) == (3, 2)
    assert await again.execute(ADMIN.team_id, begun.id) == ended
    assert await saved(storage, agent.id) == ALL


async def test_two_workers_save_once(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    begun = await service(storage, ListedModel(drafts)).start(ADMIN, agent.id, OPTIONS)
    workers = [service(storage, ListedModel(drafts)) for _ in range(3)]
    ends = await asyncio.gather(*(worker.execute(ADMIN.team_id, begun.id) for worker in workers))
    assert {end.state for end in ends} == {JobState.COMPLETED}
    assert len({end.persona_ids for end in ends}) == 1
    assert await saved(storage, agent.id) == ALL


async def test_all_is_saved_or_nothing(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = await stored_agent(storage)
    bootstraps = service(storage, ListedModel(drafts))
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    add = SqlRepository.add

    async def full(self: Any, entity: Any) -> None:
        if getattr(entity.spec, "name", "") == "Check 1":
            raise UnavailableError("DATABASE_FULL", "the disk is full", timedelta(seconds=1))
        await add(self, entity)

    monkeypatch.setattr(SqlRepository, "add", full)
    with pytest.raises(UnavailableError):
        await bootstraps.execute(ADMIN.team_id, begun.id)
    assert await saved(storage, agent.id) == NOTHING
    assert not (await bootstraps.get(ADMIN, begun.id)).state.ended
    monkeypatch.undo()
    assert (await bootstraps.execute(ADMIN.team_id, begun.id)).state is JobState.COMPLETED
    assert await saved(storage, agent.id) == ALL


@pytest.mark.parametrize("same_process", [True, False])
async def test_it_ends_soon_after_someone_asks(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, same_process: bool
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 60 if same_process else 0.01)
    agent = await stored_agent(storage)
    model, feed = SlowModel(), Feed()
    bootstraps = service(storage, model, feed)
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    executing = asyncio.ensure_future(bootstraps.execute(ADMIN.team_id, begun.id))
    await model.asked.wait()
    other = service(storage, model, feed if same_process else Feed())
    assert (await other.cancel(ADMIN, begun.id)).cancel_requested
    async with asyncio.timeout(5):
        ended = await executing
    assert ended.state is JobState.CANCELLED
    assert ended.ended_at
    assert model.cancelled == 4
    assert await saved(storage, agent.id) == NOTHING
    assert await other.cancel(ADMIN, begun.id) == ended


async def test_it_does_not_begin_once_someone_asked_for_its_end(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    model = SlowModel()
    bootstraps = service(storage, model)
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    await bootstraps.cancel(ADMIN, begun.id)
    assert (await bootstraps.execute(ADMIN.team_id, begun.id)).state is JobState.CANCELLED
    assert await saved(storage, agent.id) == NOTHING


async def test_a_model_that_fails_fails_it(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    bootstraps = service(
        storage,
        ListedModel(lambda task: FaultError(FAULT) if getattr(task, "index", 0) == 2 else drafts(task)),
    )
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    ended = await bootstraps.execute(ADMIN.team_id, begun.id)
    assert (ended.state, ended.step) == (JobState.FAILED, BootstrapStep.DONE)
    assert ended.error == "the model is down. start it"
    assert await saved(storage, agent.id) == NOTHING


async def test_a_defect_fails_it_too_and_is_logged(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    bootstraps = service(storage, ListedModel(lambda _: ZeroDivisionError("secret")))
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    with capture_logs() as lines:
        ended = await bootstraps.execute(ADMIN.team_id, begun.id)
    assert ended.state is JobState.FAILED
    assert "secret" not in ended.error
    assert lines[-1]["event"] == "bootstrap_failed"


async def test_an_agent_that_is_deleted_meanwhile_takes_it_along(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    model = SlowModel()
    bootstraps = service(storage, model)
    begun = await bootstraps.start(ADMIN, agent.id, OPTIONS)
    executing = asyncio.ensure_future(bootstraps.execute(ADMIN.team_id, begun.id))
    await model.asked.wait()
    async with storage.team(ADMIN.team_id) as unit:
        await unit.agents.remove(agent.id)
    model.go.set()
    with pytest.raises(NotFoundError):
        await executing


async def test_a_watcher_in_another_process_sees_the_end(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    agent = await stored_agent(storage)
    here, there = service(storage, ListedModel(drafts)), service(storage, ListedModel(drafts))
    begun = await here.start(ADMIN, agent.id, OPTIONS)
    watching = there.watch(ADMIN, begun.id)
    assert (await anext(watching)).state is JobState.PENDING
    ended = await here.execute(ADMIN.team_id, begun.id)
    assert [change async for change in watching][-1] == ended


async def test_nothing_is_asked_for_and_nothing_is_made(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    model = ListedModel(drafts)
    bootstraps = service(storage, model)
    begun = await bootstraps.start(ADMIN, agent.id, BootstrapOptions(personas=0, evaluations=0))
    assert (await bootstraps.execute(ADMIN.team_id, begun.id)).state is JobState.COMPLETED
    assert not model.tasks


async def test_many_personas_are_all_counted(storage: SqlStorage) -> None:
    agent = await stored_agent(storage)
    bootstraps = service(storage, ListedModel(drafts))
    begun = await bootstraps.start(ADMIN, agent.id, BootstrapOptions(personas=50, evaluations=0))
    ended = await bootstraps.execute(ADMIN.team_id, begun.id)
    assert (ended.personas_done, len(ended.persona_ids), ended.usage.calls) == (50, 50, 50)
    assert all(key.version == 7 and key.variant == "specified in RFC 4122" for key in ended.persona_ids)
