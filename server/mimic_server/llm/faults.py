"""Faults of language models: their reasons, and what to do about each."""

from __future__ import annotations

import httpx2
import openai

from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import Fault, FaultSource

_MAX_DETAIL = 300


def model_fault(reason: str, message: str, remedy: str = "") -> FaultError:
    """A SIMULATOR fault."""
    return FaultError(Fault(FaultSource.SIMULATOR, reason, message, remedy))


def fault_of(error: openai.OpenAIError, model: str, key: str) -> FaultError:
    """What the package raised, as a fault.

    Args:
        error: The error, after the package's retries.
        model: The model that was asked.
        key: The API key, which no message may carry.
    """
    match error:
        # Over aiohttp every connection that fails or breaks comes as this one.
        case openai.APITimeoutError(__cause__=httpx2.ConnectTimeout()):
            return _unreachable(model)
        case openai.APITimeoutError():
            return model_fault(
                "MODEL_TIMEOUT", f"{model} did not answer in time", "Set MIMIC_MODEL_TIMEOUT_SECONDS higher"
            )
        case openai.APIConnectionError():
            return _unreachable(model)
        case openai.APIStatusError():
            return _fault_of_status(error, model, key)
        case _:
            return model_fault("MODEL_UNAVAILABLE", f"{model} failed: {type(error).__name__}")


def _unreachable(model: str) -> FaultError:
    return model_fault(
        "MODEL_UNAVAILABLE", f"{model} cannot be reached", "Check OPENAI_BASE_URL and the network"
    )


def _fault_of_status(error: openai.APIStatusError, model: str, key: str) -> FaultError:
    status, code = error.status_code, error.code
    detail = f"{model} answered {status}{_detail(error, key)}"
    if code == "insufficient_quota":
        return model_fault(
            "MODEL_RATE_LIMITED",
            f"the account's quota for {model} is spent",
            "Add credit, or another OPENAI_API_KEY",
        )
    if code == "content_filter":
        return model_fault(
            "MODEL_REFUSED", f"{model}'s content filter refused the prompt", "Change the persona"
        )
    if code == "context_length_exceeded":
        return model_fault(
            "MODEL_REJECTED_REQUEST",
            f"the conversation is too long for {model}",
            "Lower max_turns, or set OPENAI_MODEL to one with a longer context",
        )
    match status:
        case 401 | 403:
            # The provider's own words quote a part of the key.
            return model_fault(
                "MODEL_BAD_CREDENTIALS",
                f"the credentials for {model} were refused (status {status})",
                "Check OPENAI_API_KEY, and that it may use this model",
            )
        case 429:
            return model_fault("MODEL_RATE_LIMITED", detail, "Lower MIMIC_MODEL_CONCURRENCY, or wait")
        case 404:
            return model_fault("MODEL_REJECTED_REQUEST", detail, "Check OPENAI_MODEL and OPENAI_BASE_URL")
        case 408:
            return model_fault("MODEL_TIMEOUT", detail, "Try again later")
        case 409:
            return model_fault("MODEL_UNAVAILABLE", detail, "Try again later")
        case _ if status >= 500:
            return model_fault(
                "MODEL_UNAVAILABLE", detail, "Try again later, or see the provider's status page"
            )
        case _:
            return model_fault(
                "MODEL_REJECTED_REQUEST",
                detail,
                "Check that OPENAI_MODEL has structured outputs (json_schema)",
            )


def _detail(error: openai.APIStatusError, key: str) -> str:
    """What the provider said, on one line and without the key."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, str) or not message:
        return ""
    line = " ".join(message.split())
    if key:
        line = line.replace(key, "[key]")
    return f": {line[:_MAX_DETAIL].rstrip('.')}"
