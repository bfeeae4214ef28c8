"""OpenAI-compatible models, through the package `openai`: its retries, its authentication, its errors.

A call hands the package a body that is already bytes and takes the response as it came, over aiohttp: the
package's own models cost several milliseconds of processor time in each call.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from mimic_server.domain.messages import Usage
from mimic_server.domain.ports import A, Answer, ChatMessage, Task
from mimic_server.domain.specs import violations_of
from mimic_server.llm.faults import fault_of, model_fault
from mimic_server.llm.strict_schema import strict_schema

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 60.0
_MAX_PROBLEMS = 10


class _Client(openai.AsyncOpenAI):
    """The package's client without the headers that describe this machine to the provider with each call.

    They are no part of the API, and dear: each is encoded and copied several times a call.
    """

    _headers: dict[str, str | openai.Omit] | None = None

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        if self._headers is None:
            whole = super().default_headers.items()
            self._headers = {name: value for name, value in whole if not name.startswith("X-Stainless-")}
        return self._headers


class OpenAIModel:
    """A model behind the Chat Completions API, with structured outputs (`json_schema`, strict)."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str = "",
        base_url: str = "",
        timeout_seconds: float = 60.0,
        retries: int = 4,
        concurrency: int = 1000,
    ) -> None:
        """Makes no connection yet.

        Args:
            model: The model's name.
            api_key: The key. Empty: none is sent that means anything, which is enough for most local servers.
            base_url: Where it is served, up to `/v1`. Empty: OpenAI itself.
            timeout_seconds: For one try of a call.
            retries: Further tries after failures that may pass; Retry-After is honoured.
            concurrency: Calls at once; further ones wait.
        """
        self._model = model
        self._key = api_key
        self._slots = asyncio.Semaphore(concurrency)
        self._client = _Client(
            api_key=api_key or "none",
            base_url=base_url or OPENAI_URL,
            max_retries=retries,
            timeout=openai.Timeout(
                timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds), pool=None
            ),
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=concurrency, keepalive_expiry=_KEEPALIVE_SECONDS),
                event_hooks={"response": [_never_repeat_without_quota]},
            ),
        )

        # Whole, since the package would parse and join it three times over for each call.
        self._url = f"{str(self._client.base_url).rstrip('/')}/chat/completions"

    @property
    def name(self) -> str:
        return self._model

    @property
    def scripted(self) -> bool:
        return False

    async def answer(self, task: Task[A]) -> Answer[A]:
        prompt = task.messages()
        async with self._slots:
            completion = await self._completion(task, prompt)
            try:
                return Answer(task.answer_type.model_validate_json(completion.text), completion.spent)
            except ValidationError as error:
                problems = _problems(error)
            # Once more, with what was wrong; the prefix is the same, so most of it is cached.
            mended = await self._completion(task, [*prompt, *_correction(completion.text, problems)])
            try:
                value = task.answer_type.model_validate_json(mended.text)
            except ValidationError as error:
                raise model_fault(
                    "MODEL_OUT_OF_SCHEMA",
                    f"{self._model} answered {task.name} out of its schema twice: {_problems(error)}",
                    "Use a model with structured outputs",
                ) from None
            return Answer(value, completion.spent + mended.spent)

    async def close(self) -> None:
        await self._client.close()

    async def _completion(self, task: Task[Any], prompt: Sequence[ChatMessage]) -> _Completion:
        try:
            response = await self._client.post(
                self._url,
                cast_to=httpx2.Response,
                content=_body(self._model, task.name, task.answer_type, prompt),
            )
        except openai.OpenAIError as error:
            raise fault_of(error, self._model, self._key) from None
        try:
            completion = _Completion.model_validate_json(response.content)
        except ValidationError:
            raise model_fault(
                "MODEL_UNAVAILABLE",
                f"{self._model} answered with something else than a chat completion",
                "Check OPENAI_BASE_URL: it ends in /v1",
            ) from None
        return _usable(completion, self._model, task.name)


async def _never_repeat_without_quota(response: httpx2.Response) -> None:
    """A 429 for a spent quota does not pass by waiting, which the package does not know."""
    if (
        response.status_code == httpx2.codes.TOO_MANY_REQUESTS
        and b"insufficient_quota" in await response.aread()
    ):
        response.headers["x-should-retry"] = "false"


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Spent(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Completion(BaseModel):
    """What is read of a chat completion."""

    choices: list[_Choice]
    usage: _Spent | None = None

    @property
    def text(self) -> str:
        return self.choices[0].message.content or ""

    @property
    def spent(self) -> Usage:
        usage = self.usage or _Spent()
        details = usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details else 0
        return Usage(usage.prompt_tokens, usage.completion_tokens, cached, 1)


def _usable(completion: _Completion, model: str, task: str) -> _Completion:
    """The completion itself.

    Raises:
        FaultError: It is refused, cut off or empty.
    """
    if not completion.choices:
        raise model_fault("MODEL_UNAVAILABLE", f"{model} answered {task} with no choice", "Try again later")
    choice = completion.choices[0]
    if choice.message.refusal:
        said = " ".join(choice.message.refusal.split())[:200].rstrip(".")
        raise model_fault(
            "MODEL_REFUSED", f"{model} refused {task}: {said}", "Change the persona or the question"
        )
    if choice.finish_reason == "content_filter":
        raise model_fault(
            "MODEL_REFUSED", f"{model}'s content filter cut off {task}", "Change the persona or the question"
        )
    if choice.finish_reason == "length":
        raise model_fault(
            "MODEL_TRUNCATED",
            f"{model}'s answer to {task} was cut off at its length limit",
            "Use a model that may answer at greater length",
        )
    return completion


@functools.cache
def _frame(model: str, task: str, answer_type: type[BaseModel]) -> tuple[bytes, bytes]:
    """What goes before and after the messages of a body."""
    schema = {"name": task, "strict": True, "schema": strict_schema(answer_type)}
    after = to_json({"response_format": {"type": "json_schema", "json_schema": schema}})
    return b'{"model":' + to_json(model) + b',"messages":', b"," + after[1:]


def _body(model: str, task: str, answer_type: type[BaseModel], prompt: Sequence[ChatMessage]) -> bytes:
    before, after = _frame(model, task, answer_type)
    try:
        return before + to_json(prompt) + after
    except PydanticSerializationError:
        # Half of a surrogate pair, which JSON in UTF-8 cannot carry.
        whole = [ChatMessage(m.role, m.content.encode(errors="replace").decode()) for m in prompt]
        return before + to_json(whole) + after


def _problems(error: ValidationError) -> str:
    found = violations_of(error)
    lines = [f"{v.field}: {v.description}" if v.field else v.description for v in found[:_MAX_PROBLEMS]]
    return "; ".join(lines)


def _correction(answer: str, problems: str) -> Sequence[ChatMessage]:
    note = f"(That answer was not taken: {problems}. Answer again, with the whole of it, corrected.)"
    return [ChatMessage("assistant", answer or "(nothing)"), ChatMessage("user", note)]
