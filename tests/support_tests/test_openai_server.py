"""The local OpenAI-compatible server, through OpenAI's own client over a real socket."""

import contextlib
import enum
import json
import pathlib
import time
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeVar

import aiohttp
import openai
import pytest
from mimic_server.domain.evaluations import Method
from mimic_server.domain.personas import PersonaSpec
from mimic_server.simulation.drafts import EvaluationDrafts
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel, Field, ValidationError

from tests.support.llm import OpenAIServer, openai_server

MODEL = "gpt-4o-mini"
Model = TypeVar("Model", bound=BaseModel)
Client = openai.AsyncOpenAI


class StopReason(enum.StrEnum):
    GOALS_REACHED = "goals_reached"
    STOP_CONDITION = "stop_condition"
    GAVE_UP = "gave_up"


class PersonaTurn(BaseModel):
    messages: list[str]
    decision: Literal["continue", "stop"]
    stop_reason: StopReason | None
    stop_condition: int | None
    reasoning: str


class Threshold(BaseModel):
    kind: Literal["threshold"]
    limit: float = Field(ge=0, le=1)


class Choice(BaseModel):
    kind: Literal["choice"]
    options: list[str] = Field(min_length=2, max_length=4)


class Part(BaseModel):
    title: str
    parts: list["Part"]


class Everything(BaseModel):
    age: int = Field(ge=18, lt=100)
    ratio: float = Field(gt=0, multiple_of=0.5)
    code: str = Field(pattern=r"^[A-Z]{2}-\d{3,5}(x|y)?$")
    criterion: Threshold | Choice
    tree: Part
    note: str | None
    flags: list[bool]


class Draft(BaseModel):
    name: str
    age: int


class Judgement(BaseModel):
    verdict: Literal["PASS", "FAIL"]
    explanation: str
    evidence: list[int]


@contextlib.asynccontextmanager
async def client_of(
    server: OpenAIServer, *, key: str = "sk-test", retries: int = 0, timeout_seconds: float = 20
) -> AsyncIterator[Client]:
    async with Client(
        api_key=key, base_url=server.base_url, max_retries=retries, timeout=timeout_seconds
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def running(
    *, retries: int = 0, timeout_seconds: float = 20, **options: Any
) -> AsyncIterator[tuple[OpenAIServer, Client]]:
    async with (
        openai_server(**options) as server,
        client_of(server, retries=retries, timeout_seconds=timeout_seconds) as client,
    ):
        yield server, client


@pytest.fixture
async def openai_client() -> AsyncIterator[Client]:
    async with running() as (_, client):
        yield client


def named(kind: type[Model], name: str) -> type[Model]:
    """The same model under the name that the client sends as the schema's."""
    return type(name, (kind,), {})


async def ask(
    client: Client, kind: type[Model], *messages: ChatCompletionMessageParam, **options: Any
) -> Model:
    wanted = messages or ({"role": "user", "content": "Go on."},)
    answer = await client.chat.completions.parse(
        model=MODEL, messages=wanted, response_format=kind, **options
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    return parsed


async def say(client: Client, text: str, **options: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(
        model=options.pop("model", MODEL), messages=[{"role": "user", "content": text}], **options
    )
    return answer


def json_schema(schema: Any, name: str = "thing") -> Any:
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


async def test_a_persona_talks_until_its_last_turn() -> None:
    kind = named(PersonaTurn, "persona_turn")
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "You are Maria."}]
    said: list[PersonaTurn] = []
    async with running(turns=4) as (_, client):
        for _ in range(4):
            said.append(await ask(client, kind, *messages))
            # A burst is several assistant messages in a row, and still one turn.
            messages += [{"role": "assistant", "content": text} for text in said[-1].messages]
            messages.append({"role": "user", "content": "One moment, please."})
    assert [turn.decision for turn in said] == ["continue", "continue", "continue", "stop"]
    assert [turn.stop_reason for turn in said] == [None, None, None, StopReason.GOALS_REACHED]
    assert len({tuple(turn.messages) for turn in said}) == 4
    assert max(len(turn.messages) for turn in said) == 2


async def test_a_persona_never_stops_with_turns_0() -> None:
    kind = named(PersonaTurn, "persona_turn")
    history: list[ChatCompletionMessageParam] = []
    for _ in range(30):
        history += [{"role": "assistant", "content": "hm"}, {"role": "user", "content": "yes?"}]
    async with running(turns=0) as (_, client):
        assert (await ask(client, kind, *history)).decision == "continue"


async def test_counts_the_turns_of_a_transcript_in_one_message() -> None:
    kind = named(PersonaTurn, "persona_turn")
    transcript = (
        "Transcript\n[1] PERSONA: hi\n[2] AGENT: hello\n[3] PERSONA (Maria): order?\n[4] AGENT: which?"
    )
    async with running(turns=3) as (_, client):
        assert (await ask(client, kind, {"role": "user", "content": transcript})).decision == "stop"


async def test_any_schema_gets_a_valid_answer_that_repeats_for_the_same_question() -> None:
    async with running() as (_, client):
        for number in range(20):
            question: ChatCompletionMessageParam = {"role": "user", "content": f"Draft number {number}"}
            first = await ask(client, Everything, question)
            assert first == await ask(client, Everything, question)
        names = {(await ask(client, Draft, {"role": "user", "content": f"{n}"})).name for n in range(20)}
    assert len(names) > 2


SYSTEM = """You play Maria.

# What you know and have been through
Order NW-55555 is late.

- take_choice: the id of an offered choice if you press it (then messages is empty), or null.
- send_picture: true if you send a picture of what you speak of, as when you are asked for one.
"""


class PlayedTurn(PersonaTurn):
    take_choice: str | None
    send_picture: bool


async def test_plays_a_persona_as_the_prompt_says() -> None:
    kind = named(PlayedTurn, "persona_turn")

    async def turn(note: str) -> PlayedTurn:
        system: ChatCompletionMessageParam = {"role": "system", "content": SYSTEM}
        return await ask(client, kind, system, {"role": "user", "content": note})

    async with running(turns=9) as (_, client):
        first = await turn("(Turn 1 of at most 12. Nobody has spoken yet: open the conversation.)")
        assert (first.take_choice, first.send_picture, first.decision) == (None, False, "continue")
        assert (await turn("> Which order?\n\n(Turn 2 of at most 12.)")).messages == ["It's NW-55555."]
        chosen = await turn(
            "> Which one?\n> [choice 'c1': This]\n> [choice 'c2': That]\n\n(Turn 3 of at most 12.)"
        )
        assert (chosen.take_choice, chosen.messages) == ("c1", [])
        assert (await turn("> Can you send a photo?\n\n(Turn 4 of at most 12.)")).send_picture is True
        assert (await turn("> Bye.\n\n(Turn 9 of at most 12.)")).decision == "stop"


class BooleanAnswer(BaseModel):
    explanation: str
    evidence: list[int]
    value: bool


class NumberAnswer(BooleanAnswer):
    value: float  # type: ignore[assignment]


TRANSCRIPT = """Transcript:
{"seq": 1, "turn": 1, "from": "customer", "text": "refund? order 10234"}
{"seq": 2, "turn": 1, "from": "agent", "text": "No. I am sick of these stupid complaints."}
{"seq": 3, "turn": 2, "from": "agent", "text": "What is your order number?"}
{"seq": 4, "turn": 3, "from": "agent", "text": "And your order number?"}
End of the transcript."""


@pytest.mark.parametrize(
    "question, value, evidence",
    [
        ("Is the agent polite?", False, [2]),
        ("Is the agent rude at any time?", True, [2]),
        ("The agent never asks again for what it was told.", False, [4]),
        ("Does the agent ask again for the order number?", True, [4]),
        ("Does the agent greet?", True, [1]),
    ],
)
async def test_judges_lines_of_json(question: str, value: bool, evidence: list[int]) -> None:
    prompt = f"{TRANSCRIPT}\n\nQuestion: {question}\nValue: "
    async with running() as (_, client):
        kind: type[BooleanAnswer] = named(BooleanAnswer, "judgement")
        whole = f"{prompt}true or false: whether what is asked holds."
        judged = await ask(client, kind, {"role": "user", "content": whole})
        assert (judged.value, judged.evidence) == (value, evidence)
        numbers = named(NumberAnswer, "judgement")
        whole = f"{prompt}how often what is asked for occurs: 0, 1, 2 ..."
        counted = await ask(client, numbers, {"role": "user", "content": whole})
        assert counted.value == (0 if evidence == [1] else 1)


class MessageScore(BaseModel):
    seq: int
    score: float


class SentimentAnswer(BaseModel):
    explanation: str
    scores: list[MessageScore]


async def test_scores_the_messages_that_are_named() -> None:
    question = f"{TRANSCRIPT}\n\nQuestion: how do these messages sound to their reader: 2, 3? Look at tone."
    async with running() as (_, client):
        answer = await ask(client, named(SentimentAnswer, "sentiment"), {"role": "user", "content": question})
    assert [(score.seq, score.score) for score in answer.scores] == [(2, -0.8), (3, 0.6)]


async def test_drafts_what_mimic_would_take() -> None:
    async def draft(kind: type[Model], name: str, prompt: str) -> Model:
        schema = {"name": name, "schema": kind.model_json_schema(by_alias=True)}
        answer = await say(client, prompt, response_format={"type": "json_schema", "json_schema": schema})
        return kind.model_validate_json(answer.choices[0].message.content or "")

    async with running() as (_, client):
        people = [await draft(PersonaSpec, "persona_draft", f"Draft {number}") for number in range(10)]
        prompt = "Write about 6 checks, at least one. These exist already: Stays friendly."
        checks = await draft(EvaluationDrafts, "evaluation_drafts", prompt)
    assert len({person.name for person in people}) > 5
    assert all("order NW-" in person.background for person in people)
    names = {check.name for check in checks.evaluations}
    assert len(names) == 6
    assert "Stays friendly" not in names
    assert {check.method for check in checks.evaluations} > {Method.LLM_MATCH, Method.REGEX_MATCH}


async def test_judges_the_faults_of_the_example_agent() -> None:
    kind = named(Judgement, "judgement")
    transcript = "[1] PERSONA: refund?\n[2] AGENT: No. I am sick of these stupid complaints.\n[3] AGENT: Bye."
    async with running() as (_, client):
        polite: ChatCompletionMessageParam = {"role": "user", "content": f"Is it polite?\n{transcript}"}
        judged = await ask(client, kind, polite)
        assert (judged.verdict, judged.evidence) == ("FAIL", [2])
        other: ChatCompletionMessageParam = {"role": "user", "content": f"Does it greet?\n{transcript}"}
        assert (await ask(client, kind, other)).verdict == "PASS"


async def test_answers_in_free_text_whole_and_streamed() -> None:
    async with running() as (_, client):
        answer = await say(client, "hello there")
        assert answer.choices[0].message.content == "turn 1: hello there"
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "hello there"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "turn 1: hello there"
    assert len(chunks) > 4
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_an_answer_beyond_max_tokens_is_cut() -> None:
    async with running() as (_, client):
        answer = await say(client, "a rather long sentence that will be cut", max_completion_tokens=3)
        assert answer.choices[0].finish_reason == "length"
        assert answer.choices[0].message.content == "turn 1: a ra"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 3
        with pytest.raises(openai.LengthFinishReasonError):
            await ask(client, Everything, max_completion_tokens=3)


async def test_counts_a_prefix_seen_before_as_cached() -> None:
    system = "You are a patient customer. " * 300
    async with running() as (_, client):

        async def cached(user: str) -> int:
            messages: list[ChatCompletionMessageParam] = [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ]
            answer = await client.chat.completions.create(model=MODEL, messages=messages)
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            return answer.usage.prompt_tokens_details.cached_tokens or 0

        assert await cached("first") == 0
        second = await cached("second, quite another one")
        assert second >= 1024
        assert second % 128 == 0
        assert second <= len(system) / 4 + 20
        short = await say(client, "short")
        assert short.usage is not None
        assert short.usage.prompt_tokens_details is not None
        assert short.usage.prompt_tokens_details.cached_tokens == 0


@pytest.mark.parametrize(
    "schema, fault",
    [
        ({"type": "array", "items": {"type": "string"}}, "got 'type: \"array\"'"),
        ({"anyOf": [closed()]}, "must not have 'anyOf' at the top level"),
        ({**closed(), "additionalProperties": True}, "'additionalProperties' is required"),
        ({**closed(a={"type": "string"}), "required": []}, "Missing 'a'"),
        ({**closed(), "required": ["b"]}, "Extra required key 'b'"),
        (closed(a={"type": "string", "minLength": 1}), "('properties', 'a'), 'minLength' is not permitted"),
        (closed(a={"type": "string", "default": "x"}), "'default' is not permitted"),
        (closed(a={"type": "string", "format": "uri"}), "'uri' is not a valid format"),
        (closed(a={"type": "array"}), "array schema missing items"),
        (closed(a={}), "must have a 'type' key"),
        (closed(a={"type": "string", "enum": [1]}), "does not validate"),
        (closed(a={"oneOf": [{"type": "string"}]}), "'oneOf' is not permitted"),
        (closed(a={"$ref": "#/$defs/nope"}), "was not found"),
        (
            {**closed(a={"$ref": "#/$defs/b", "description": "x"}), "$defs": {"b": {"type": "null"}}},
            "$ref cannot have keywords {'description'}",
        ),
        (closed(a={"type": "string", "enum": [f"v{n}" for n in range(1001)]}), "1000 enum values"),
        (closed(**{f"p{n}": {"type": "null"} for n in range(5001)}), "5000 object properties"),
    ],
)
async def test_refuses_a_schema_that_openai_would(openai_client: Client, schema: Any, fault: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await say(openai_client, "json", response_format=json_schema(schema))
    assert caught.value.param == "response_format"
    assert "Invalid schema for response_format 'thing': " in caught.value.message
    assert fault in caught.value.message


async def test_refuses_a_schema_that_is_too_deep(openai_client: Client) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(10):
        schema = closed(a=schema)
    await say(openai_client, "json", response_format=json_schema(schema))
    with pytest.raises(openai.BadRequestError, match="11 levels of nesting exceeds limit of 10"):
        await say(openai_client, "json", response_format=json_schema(closed(a=schema)))


@pytest.mark.parametrize(
    "body, param, code",
    [
        ({"frequency": 1}, "frequency", "unknown_parameter"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", None),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "text": "x"}]}, "messages[0].text", "unknown_parameter"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "messages[0].role", None),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"model": "gpt-5-mini", "max_tokens": 9}, "max_tokens", "unsupported_parameter"),
        ({"model": "gpt-5-mini", "temperature": 0.2}, "temperature", "unsupported_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": json_schema(closed(), "a b")},
            "response_format.json_schema.name",
            "invalid_value",
        ),
        (
            {"response_format": json_schema(closed(), "a" * 65)},
            "response_format.json_schema.name",
            "string_above_max_length",
        ),
    ],
)
async def test_refuses_a_body_that_openai_would(
    openai_client: Client, body: Any, param: str, code: str | None
) -> None:
    whole = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **body}
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.post("/chat/completions", body=whole, cast_to=object)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"


async def test_a_model_and_a_key_must_exist() -> None:
    async with running(arguments=["--api-key", "sk-good"]) as (server, client):
        with pytest.raises(openai.AuthenticationError) as caught:
            await say(client, "x")
        assert caught.value.code == "invalid_api_key"
        async with client_of(server, key="sk-good") as good:
            assert MODEL in {model.id async for model in good.models.list()}
            with pytest.raises(openai.NotFoundError) as missing:
                await say(good, "x", model="gpt-none")
            assert missing.value.code == "model_not_found"
        async with aiohttp.ClientSession() as http, http.get(f"{server.base_url}/models") as response:
            assert response.status == 401
            assert set((await response.json())["error"]) == {"message", "type", "param", "code"}


async def test_the_context_window_ends() -> None:
    async with running(arguments=["--context-window", "100"]) as (_, client):
        with pytest.raises(openai.BadRequestError) as caught:
            await say(client, "x" * 500)
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")


async def test_the_client_retries_a_429_after_the_time_it_names() -> None:
    async with running(retries=2) as (server, client):
        await server.add_faults({"kind": "429", "retry_after": 0.3, "times": 2})
        start = time.monotonic()
        assert (await say(client, "x")).choices[0].message.content == "turn 1: x"
        assert time.monotonic() - start >= 0.6
        assert [entry["status"] for entry in await server.requests()] == [429, 429, 200]


async def test_a_spent_quota_names_itself() -> None:
    async with running(faults=[{"kind": "quota"}]) as (_, client):
        with pytest.raises(openai.RateLimitError) as caught:
            await say(client, "x")
    assert caught.value.code == "insufficient_quota"


@pytest.mark.parametrize("status", ["500", "502", "503", "504"])
async def test_server_errors(status: str) -> None:
    async with running(faults=[{"kind": status}]) as (_, client):
        with pytest.raises(openai.InternalServerError) as caught:
            await say(client, "x")
        assert caught.value.status_code == int(status)
        await say(client, "x")


async def test_a_refusal_has_no_content() -> None:
    async with running(faults=[{"kind": "refusal"}]) as (_, client):
        answer = await client.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "x"}], response_format=Judgement
        )
    message = answer.choices[0].message
    assert message.content is None
    assert message.parsed is None
    assert message.refusal


async def test_answers_that_no_client_can_use() -> None:
    kinds = ["truncated", "content_filter", "malformed", "out_of_schema"]
    async with running(faults=[{"kind": kind} for kind in kinds]) as (_, client):
        with pytest.raises(openai.LengthFinishReasonError):
            await ask(client, Judgement)
        with pytest.raises(openai.ContentFilterFinishReasonError):
            await ask(client, Judgement)
        for _ in range(2):
            with pytest.raises(ValidationError):
                await ask(client, Judgement)
        await ask(client, Judgement)


async def test_a_hang_lasts_until_the_client_gives_up() -> None:
    async with running(faults=[{"kind": "hang"}], timeout_seconds=0.3) as (_, client):
        with pytest.raises(openai.APITimeoutError):
            await say(client, "x")
        await say(client, "x")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_is_reset_within_the_body(*, stream: bool) -> None:
    got = bytearray()

    async def read(response: aiohttp.ClientResponse) -> None:
        async for data in response.content.iter_any():
            got.extend(data)

    async with running(faults=[{"kind": "reset"}]) as (server, _), aiohttp.ClientSession() as http:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a b c d"}], "stream": stream}
        headers = {"Authorization": "Bearer k"}
        url = f"{server.base_url}/chat/completions"
        async with http.post(url, json=body, headers=headers) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientError):
                await read(response)
    assert got


async def test_a_script_gives_the_answer_to_one_schema_only() -> None:
    verdict = {"verdict": "FAIL", "explanation": "as scripted", "evidence": [7]}
    async with running(faults=[{"kind": "answer", "content": verdict, "schema": "Judgement"}]) as (_, client):
        await ask(client, Draft)
        assert (await ask(client, Judgement)).evidence == [7]
        assert (await ask(client, Judgement)).explanation != "as scripted"


async def test_faults_by_chance_repeat() -> None:
    async def statuses() -> list[int]:
        async with running(faults=[{"kind": "500", "rate": 0.3, "seed": 5}]) as (server, client):
            for number in range(30):
                with contextlib.suppress(openai.InternalServerError):
                    await say(client, f"{number}")
            return [entry["status"] for entry in await server.requests()]

    first = await statuses()
    assert 3 <= first.count(500) <= 15
    assert first == await statuses()


async def test_faults_can_wait_and_be_taken_back() -> None:
    async with running() as (server, client):
        await server.add_faults({"kind": "500", "skip": 1, "times": 0})
        await say(client, "x")
        with pytest.raises(openai.InternalServerError):
            await say(client, "x")
        await server.clear_faults()
        await say(client, "x")
        with pytest.raises(ValueError, match="unknown fault 'flood'"):
            await server.add_faults({"kind": "flood"})


async def test_the_log_has_what_was_asked(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "requests.jsonl"
    async with running(arguments=["--log", str(path)]) as (server, client):
        await ask(client, Judgement, {"role": "user", "content": "judge this"})
        (entry,) = await server.requests(bodies=True)
    assert entry["schema"] == "Judgement"
    assert entry["body"]["messages"][0]["content"] == "judge this"
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["prompt_tokens"] == entry["prompt_tokens"]
