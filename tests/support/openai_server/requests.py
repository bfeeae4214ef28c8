"""Checks the body of a request as OpenAI does."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.openai_server.errors import bad_request, unknown_model
from tests.support.openai_server.strict_schema import strict_fault

MODELS = [
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-6.1-sol",
    "gpt-6.2-sol",
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-5.6-luna",
    "gpt-5.5",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-5.2",
    "gpt-5.1",
    "gpt-5.1-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "o4-mini",
    "o3",
    "o3-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini-2024-07-18",
]
"""The models that exist unless others are named."""

_FIELDS = frozenset(
    [
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
_MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "function_call", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
    "function": {"role", "content", "name"},
}
_PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
    "function": set[str](),
}
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_INTEGERS = {"max_tokens": 1, "max_completion_tokens": 1, "n": 1, "seed": None, "top_logprobs": 0}
_FLAGS = ("stream", "store", "logprobs", "parallel_tool_calls")
_TEXTS = ("user", "safety_identifier", "prompt_cache_key")
_SCHEMA_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_SCHEMA_NAME = 64
_REASONING = re.compile(r"o\d|gpt-[5-9]")


@dataclasses.dataclass(frozen=True)
class ChatRequest:
    """A request that OpenAI would take."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    schema_name: str | None
    """The name of the schema asked for; None means free text or any JSON."""
    schema: Mapping[str, Any] | None
    schema_text: str
    """The schema as one text: it is part of the prompt, before the messages."""
    any_json: bool
    """Whether JSON without a schema was asked for."""
    max_tokens: int | None
    choices: int
    stream: bool
    include_usage: bool
    """Whether a stream ends with the usage."""


class RequestChecker:
    """Checks requests, and remembers the schemas that it has checked."""

    def __init__(self, models: Sequence[str] = MODELS) -> None:
        self._models = frozenset(models)
        self._checked: dict[bytes, str | None] = {}

    def check(self, body: Any) -> ChatRequest:
        """Checks a body.

        Args:
            body: What came, as JSON.

        Raises:
            tests.support.openai_server.errors.ApiError: OpenAI would refuse it.
        """
        if not isinstance(body, dict):
            raise bad_request("We could not parse the JSON body of your request.")
        for name in body:
            if name not in _FIELDS:
                raise bad_request(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise bad_request("you must provide a model parameter")
        if model not in self._models:
            raise unknown_model(model)
        messages = body.get("messages")
        if messages is None:
            raise _missing("messages")
        _check_messages(messages)
        _check_values(body, model)
        name, schema, text, any_json = self._response_format(body.get("response_format"), messages)
        options = body.get("stream_options")
        return ChatRequest(
            model=model,
            messages=messages,
            schema_name=name,
            schema=schema,
            schema_text=text,
            any_json=any_json,
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            choices=body.get("n") or 1,
            stream=bool(body.get("stream")),
            include_usage=bool(options and options.get("include_usage")),
        )

    def _response_format(
        self,
        wanted: Any,
        messages: Sequence[Mapping[str, Any]],
    ) -> tuple[str | None, Mapping[str, Any] | None, str, bool]:
        if wanted is None:
            return None, None, "", False
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        if kind == "text":
            return None, None, "", False
        if kind == "json_object":
            if not any("json" in str(message.get("content")).lower() for message in messages):
                sentence = (
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                    "'json_object'."
                )
                raise bad_request(sentence, "messages")
            return None, None, "", True
        if kind != "json_schema":
            sentence = (
                f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            )
            raise bad_request(sentence, "response_format.type", "invalid_value")
        name, schema, strict = _json_schema(wanted.get("json_schema"))
        text = json.dumps(schema, separators=(",", ":"))
        if strict:
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            if key not in self._checked:
                self._checked[key] = strict_fault(schema)
            fault = self._checked[key]
            if fault is not None:
                raise bad_request(f"Invalid schema for response_format '{name}': {fault}", "response_format")
        return name, schema, text, False


def _json_schema(value: Any) -> tuple[str, Mapping[str, Any], bool]:
    where = "response_format.json_schema"
    if not isinstance(value, dict):
        raise _missing(where)
    for key in value:
        if key not in {"name", "schema", "strict", "description"}:
            raise bad_request(f"Unknown parameter: '{where}.{key}'.", f"{where}.{key}", "unknown_parameter")
    name = value.get("name")
    if name is None:
        raise _missing(f"{where}.name")
    if not isinstance(name, str):
        raise _wrong_type(f"{where}.name", "a string", name)
    if not _SCHEMA_NAME.fullmatch(name):
        sentence = (
            f"Invalid '{where}.name': string does not match pattern. "
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise bad_request(sentence, f"{where}.name", "invalid_value")
    if len(name) > _MAX_SCHEMA_NAME:
        sentence = (
            f"Invalid '{where}.name': string too long. "
            f"Expected a string with maximum length {_MAX_SCHEMA_NAME}, "
            f"but got a string with length {len(name)} instead."
        )
        raise bad_request(sentence, f"{where}.name", "string_above_max_length")
    schema = value.get("schema")
    if not isinstance(schema, dict):
        raise _missing(f"{where}.schema")
    strict = value.get("strict")
    if strict is not None and not isinstance(strict, bool):
        raise _wrong_type(f"{where}.strict", "a boolean", strict)
    return name, schema, strict is True


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        sentence = (
            "Invalid 'messages': empty array. "
            "Expected an array with minimum length 1, but got an empty array instead."
        )
        raise bad_request(sentence, "messages", "empty_array")
    called: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise _wrong_type(where, "an object", message)
        role = message.get("role")
        if role not in _MESSAGE_FIELDS:
            if role is None:
                raise _missing(f"{where}.role")
            sentence = (
                f"Invalid value: '{role}'. Supported values are: "
                "'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
            )
            raise bad_request(sentence, f"{where}.role", "invalid_value")
        for key in message:
            if key not in _MESSAGE_FIELDS[role]:
                raise bad_request(
                    f"Unknown parameter: '{where}.{key}'.", f"{where}.{key}", "unknown_parameter"
                )
        _check_content(message, role, where)
        called.update(call["id"] for call in message.get("tool_calls") or ())
        if role == "tool" and message.get("tool_call_id") not in called:
            sentence = (
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                "with 'tool_calls'."
            )
            raise bad_request(sentence, f"{where}.role")


def _check_content(message: Mapping[str, Any], role: str, where: str) -> None:
    content = message.get("content")
    if isinstance(content, str):
        return
    if content is None:
        if role == "assistant" and (
            message.get("tool_calls") or message.get("refusal") or message.get("function_call")
        ):
            return
        sentence = "Invalid value for 'content': expected a string, got null."
        raise bad_request(sentence, f"{where}.content")
    if not isinstance(content, list):
        raise _wrong_type(f"{where}.content", "one of a string or array of objects", content)
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _PARTS[role]:
            allowed = ", ".join(f"'{name}'" for name in sorted(_PARTS[role]))
            sentence = f"Invalid value: '{kind}'. Supported values are: {allowed}."
            raise bad_request(sentence, f"{where}.content[{index}].type", "invalid_value")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise _wrong_type(f"{where}.content[{index}].text", "a string", part.get("text"))


def _check_values(body: Mapping[str, Any], model: str) -> None:
    for name, (low, high) in _RANGES.items():
        _check_decimal(name, body.get(name), low, high)
    for name, lowest in _INTEGERS.items():
        _check_integer(name, body.get(name), lowest)
    for names, kind, wanted in ((_FLAGS, bool, "a boolean"), (_TEXTS, str, "a string")):
        for name in names:
            if not isinstance(body.get(name), kind | None):
                raise _wrong_type(name, wanted, body[name])
    if body.get("stream_options") is not None and not body.get("stream"):
        sentence = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise bad_request(sentence, "stream_options")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        sentence = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise bad_request(sentence, "max_tokens", "invalid_parameter_combination")
    if _REASONING.match(model):
        _check_reasoning(body)
    elif body.get("reasoning_effort") is not None:
        raise bad_request("Unrecognized request argument supplied: reasoning_effort")


def _check_decimal(name: str, value: Any, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "a decimal", value)
    if low <= value <= high:
        return
    word, code, bound = (
        ("below minimum", "decimal_below_min_value", f">= {low}")
        if value < low
        else ("above maximum", "decimal_above_max_value", f"<= {high}")
    )
    sentence = f"Invalid '{name}': decimal {word} value. Expected a value {bound}, but got {value} instead."
    raise bad_request(sentence, name, code)


def _check_integer(name: str, value: Any, lowest: int | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, "an integer", value)
    if lowest is not None and value < lowest:
        sentence = (
            f"Invalid '{name}': integer below minimum value. "
            f"Expected a value >= {lowest}, but got {value} instead."
        )
        raise bad_request(sentence, name, "integer_below_min_value")


def _check_reasoning(body: Mapping[str, Any]) -> None:
    if body.get("max_tokens") is not None:
        sentence = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        raise bad_request(sentence, "max_tokens", "unsupported_parameter")
    for name in ("temperature", "top_p"):
        if body.get(name) not in {None, 1}:
            sentence = (
                f"Unsupported value: '{name}' does not support {body[name]} with this model. "
                "Only the default (1) value is supported."
            )
            raise bad_request(sentence, name, "unsupported_value")


def _missing(where: str) -> Exception:
    return bad_request(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")


def _wrong_type(where: str, wanted: str, value: object) -> Exception:
    got = {
        str: "a string",
        int: "an integer",
        float: "a decimal",
        bool: "a boolean",
        list: "an array",
        dict: "an object",
        type(None): "null",
    }[type(value)]
    sentence = f"Invalid type for '{where}': expected {wanted}, but got {got} instead."
    return bad_request(sentence, where, "invalid_type")
