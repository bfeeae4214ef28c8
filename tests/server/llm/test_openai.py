"""The OpenAI-compatible model against a local server that is as strict as the real one, faults and all."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from mimic_server.domain.errors import FaultError
from mimic_server.domain.evaluations import Metric
from mimic_server.domain.messages import Sender
from mimic_server.domain.ports import Task
from mimic_server.evaluation.tasks import JudgementTask, SentimentTask
from mimic_server.llm.openai import OpenAIModel
from mimic_server.simulation.tasks import Entry, PersonaTurnTask

from tests.server.llm.tasks import dialogue, evaluations_task, persona_task, turn_task
from tests.server.transcripts import transcript
from tests.support.llm import OpenAIServer, openai_server

KEY = "sk-mimic-secret-0123456789"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[OpenAIServer]:
    async with openai_server(arguments=["--api-key", KEY]) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def server(running: OpenAIServer) -> AsyncIterator[OpenAIServer]:
    await running.clear_faults()
    yield running


def model_of(server: OpenAIServer, **settings: Any) -> OpenAIModel:
    chosen = {"model": "gpt-4o-2024-08-06", "api_key": KEY, "retries": 2, "timeout_seconds": 10, **settings}
    return OpenAIModel(chosen.pop("model"), base_url=server.base_url, **chosen)


async def fails(server: OpenAIServer, **settings: Any) -> FaultError:
    model = model_of(server, **settings)
    try:
        with pytest.raises(FaultError) as caught:
            await model.answer(turn_task())
    finally:
        await model.close()
    assert caught.value.fault.source == "SIMULATOR"
    assert KEY not in repr(caught.value.fault)

    return caught.value


TALK = transcript("Where is my order?", "It comes tomorrow.", "Thanks", "You're welcome!")


@pytest.mark.parametrize(
    "task",
    [
        turn_task(),
        turn_task("Hi", "Hello!", "Where is it?", "Which order?"),
        persona_task(),
        evaluations_task(),
        *(JudgementTask("Is the agent polite?", m, TALK.lines) for m in Metric if m is not Metric.LATENCY_MS),
        SentimentTask("Look at the tone.", TALK.lines, (2, 4)),
    ],
    ids=lambda task: f"{task.name} {getattr(task, 'metric', '')}",
)
async def test_every_task_gets_an_answer_that_fits(server: OpenAIServer, task: Task[Any]) -> None:
    model = model_of(server)
    answer = await model.answer(task)
    await model.close()
    assert isinstance(answer.value, task.answer_type)
    assert answer.usage.calls == 1
    assert answer.usage.prompt_tokens > 0 < answer.usage.completion_tokens


async def test_the_prompt_is_sent_whole_and_strict(server: OpenAIServer) -> None:
    model = model_of(server)
    task = turn_task("Hi", 'Grüße 🙂\n"quoted" \\ \ud800')
    await model.answer(task)
    await model.close()
    body = (await server.requests(bodies=True))[-1]["body"]
    assert body["model"] == "gpt-4o-2024-08-06"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "assistant", "user"]
    assert body["messages"][-1]["content"].startswith('> Grüße 🙂\n> "quoted" \\ ?\n')


async def test_the_prefix_of_the_next_turn_is_read_from_the_cache(server: OpenAIServer) -> None:
    model = model_of(server)
    talk = dialogue("A long story. " * 200, "I see.")
    spent = [(await model.answer(PersonaTurnTask(talk, 2, 20, 1))).usage]
    for turn in (2, 3):
        talk.append(Entry(Sender.PERSONA, f"And {turn}?", turn))
        talk.append(Entry(Sender.AGENT, "Yes.", turn))
        spent.append((await model.answer(PersonaTurnTask(talk, turn + 1, 20, 1))).usage)
    await model.close()
    for before, after in itertools.pairwise(spent):
        assert after.cached_tokens > before.prompt_tokens - 200


@pytest.mark.parametrize(
    "fault, reason, tries",
    [
        ({"kind": "429", "times": 0, "retry_after": 0.01}, "MODEL_RATE_LIMITED", 3),
        ({"kind": "quota", "times": 0}, "MODEL_RATE_LIMITED", 1),
        ({"kind": "500", "times": 0}, "MODEL_UNAVAILABLE", 2),
        ({"kind": "503", "times": 0}, "MODEL_UNAVAILABLE", 2),
        ({"kind": "reset", "times": 0}, "MODEL_UNAVAILABLE", 2),
        ({"kind": "hang", "times": 0}, "MODEL_TIMEOUT", 1),
        ({"kind": "refusal"}, "MODEL_REFUSED", 1),
        ({"kind": "content_filter"}, "MODEL_REFUSED", 1),
        ({"kind": "truncated"}, "MODEL_TRUNCATED", 1),
        ({"kind": "malformed", "times": 2}, "MODEL_OUT_OF_SCHEMA", 2),
        ({"kind": "out_of_schema", "times": 2}, "MODEL_OUT_OF_SCHEMA", 2),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_what_fails_is_the_simulators_fault(
    server: OpenAIServer, fault: dict[str, Any], reason: str, tries: int
) -> None:
    await server.add_faults(fault)
    before = (await server.log())["total"]
    retries = {"429": 2, "hang": 0}.get(fault["kind"], 1)
    error = await fails(server, retries=retries, timeout_seconds=0.3 if fault["kind"] == "hang" else 10)
    assert error.reason == reason
    assert error.fault.remedy
    assert (await server.log())["total"] - before == tries


@pytest.mark.parametrize("kind", ["malformed", "out_of_schema"])
async def test_a_wrong_answer_is_mended_once(server: OpenAIServer, kind: str) -> None:
    await server.add_faults({"kind": kind})
    model = model_of(server)
    answer = await model.answer(turn_task())
    await model.close()
    assert answer.value.messages
    assert answer.usage.calls == 2
    messages = (await server.requests(bodies=True))[-1]["body"]["messages"]
    assert [message["role"] for message in messages[-2:]] == ["assistant", "user"]
    assert "not taken" in messages[-1]["content"]


async def test_a_draft_that_does_not_compile_is_mended(server: OpenAIServer) -> None:
    draft = {
        "name": "Broken", "metric": "count", "method": "regex_match", "severity": "LOW", "notes": "",
        "pass_criteria": {"pass": "== 0", "warning": "", "fail": ""}, "llm_prompt": "", "regex": "a(b",
        "script": "", "messages": "agent", "aggregate": None,
    }  # fmt: skip
    await server.add_faults({"kind": "answer", "content": {"evaluations": [draft]}})
    model = model_of(server)
    answer = await model.answer(evaluations_task())
    await model.close()
    assert answer.value.evaluations
    told = (await server.requests(bodies=True))[-1]["body"]["messages"][-1]["content"]
    assert "[0].regex: character 2: missing )" in told


async def test_waits_as_long_as_it_is_told(server: OpenAIServer) -> None:
    await server.add_faults({"kind": "429", "retry_after": 0.4})
    model = model_of(server)
    start = asyncio.get_running_loop().time()
    await model.answer(turn_task())
    await model.close()
    assert 0.4 <= asyncio.get_running_loop().time() - start < 5


@pytest.mark.parametrize(
    "settings, reason, said",
    [
        ({"api_key": "sk-wrong-key-000000"}, "MODEL_BAD_CREDENTIALS", "OPENAI_API_KEY"),
        ({"api_key": ""}, "MODEL_BAD_CREDENTIALS", "OPENAI_API_KEY"),
        ({"model": "gpt-9"}, "MODEL_REJECTED_REQUEST", "gpt-9"),
    ],
)
async def test_bad_settings_are_told(
    server: OpenAIServer, settings: dict[str, Any], reason: str, said: str
) -> None:
    error = await fails(server, **settings)
    assert error.reason == reason
    assert said in error.message
    assert "sk-wrong" not in error.message


async def test_a_conversation_beyond_the_context_is_told(server: OpenAIServer) -> None:
    model = model_of(server)
    with pytest.raises(FaultError, match="too long") as caught:
        await model.answer(turn_task("word " * 200_000, "I see."))
    await model.close()
    assert caught.value.reason == "MODEL_REJECTED_REQUEST"


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = OpenAIModel("m", api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", retries=0)
    with pytest.raises(FaultError) as caught:
        await model.answer(turn_task())
    await model.close()
    assert caught.value.reason == "MODEL_UNAVAILABLE"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
async def test_something_else_than_a_model(body: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    model = OpenAIModel("m", api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", retries=0)
    with pytest.raises(FaultError) as caught:
        await model.answer(turn_task())
    await model.close()
    other.close()
    assert caught.value.reason == "MODEL_UNAVAILABLE"


async def test_asks_no_more_at_once_than_it_may() -> None:
    async with openai_server(latency_ms=1000) as server:
        for concurrency, calls in ((3, 6), (150, 150)):
            model = model_of(server, concurrency=concurrency)
            await asyncio.gather(*(model.answer(turn_task(seed=seed)) for seed in range(calls)))
            await model.close()
            most = (await server.log())["most_open"]
            assert most == 3 if concurrency == 3 else most > 100


async def test_a_call_that_is_cancelled_leaves_its_place(server: OpenAIServer) -> None:
    await server.add_faults({"kind": "hang"})
    model = model_of(server, concurrency=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(model.answer(turn_task()), 0.2)
    assert (await model.answer(turn_task())).value.messages
    await model.close()
