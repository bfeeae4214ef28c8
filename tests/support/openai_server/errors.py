"""OpenAI's error bodies."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class ApiError(Exception):
    """A request that is answered with an error."""

    status: int
    message: str
    param: str | None = None
    """The field of the body that is at fault, as OpenAI names it."""
    code: str | None = None
    type: str = "invalid_request_error"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON that OpenAI answers with."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400.

    Args:
        message: What is wrong.
        param: The field at fault.
        code: OpenAI's code for it.
    """
    return ApiError(400, message, param, code)


def no_key() -> ApiError:
    """The 401 of a request without a key."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
    )


def wrong_key(key: str) -> ApiError:
    """The 401 of a request with a key that is not known.

    Args:
        key: What came; all but its ends is starred out, as OpenAI does.
    """
    shown = f"{key[:4]}{'*' * max(len(key) - 8, 4)}{key[-4:]}"
    message = (
        f"Incorrect API key provided: {shown}. "
        "You can find your API key at https://platform.openai.com/account/api-keys."
    )
    return ApiError(401, message, code="invalid_api_key")


def unknown_model(model: str) -> ApiError:
    """The 404 of a model that does not exist.

    Args:
        model: Its name.
    """
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def rate_limited(model: str, wait_seconds: float) -> ApiError:
    """The 429 that goes away by waiting.

    Args:
        model: The model that was asked for.
        wait_seconds: How long to wait; said in both headers that OpenAI's client reads.
    """
    message = (
        f"Rate limit reached for {model} in organization org-mimic on requests per min (RPM): "
        f"Limit 500, Used 500, Requested 1. Please try again in {wait_seconds:g}s. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    headers = {
        "retry-after": f"{max(1, round(wait_seconds))}" if wait_seconds else "0",
        "retry-after-ms": f"{round(wait_seconds * 1000)}",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{wait_seconds:g}s",
    }
    return ApiError(429, message, code="rate_limit_exceeded", type="requests", headers=headers)


def out_of_quota() -> ApiError:
    """The 429 that no waiting helps against."""
    message = (
        "You exceeded your current quota, please check your plan and billing details. For more information "
        "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    )
    return ApiError(429, message, code="insufficient_quota", type="insufficient_quota")


def server_error(status: int) -> ApiError:
    """A failure of OpenAI's own.

    Args:
        status: 500 or above.
    """
    if status == 503:
        return ApiError(
            status, "The engine is currently overloaded, please try again later", type="service_unavailable"
        )
    message = "The server had an error while processing your request. Sorry about that!"
    return ApiError(status, message, type="server_error")
