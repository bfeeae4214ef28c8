"""The local OpenAI-compatible server, as a process of its own, for tests."""

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from tests.support.processes import Service, python_service


@dataclasses.dataclass(frozen=True)
class OpenAIServer:
    """The running server."""

    service: Service

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is set to: it ends in `/v1`."""
        return self.service.url

    async def add_faults(self, *faults: Mapping[str, Any]) -> None:
        """Puts faults behind those in force.

        Args:
            faults: Each with the fields of `tests.support.openai_server.faults.Fault`.

        Raises:
            ValueError: The server refused them.
        """
        answer = await self._control("POST", "faults", json=list(faults))
        if "error" in answer:
            raise ValueError(answer["error"])

    async def clear_faults(self) -> None:
        """Takes all faults back."""
        await self._control("DELETE", "faults")

    async def requests(self, *, bodies: bool = False) -> list[dict[str, Any]]:
        """The last 1,000 requests, those that failed too.

        Args:
            bodies: Whether each has the `body` that came.
        """
        log: list[dict[str, Any]] = (await self.log(bodies=bodies))["requests"]
        return log

    async def log(self, *, bodies: bool = False) -> dict[str, Any]:
        """The whole log: `total` requests, `most_open` at once, and `requests`.

        Args:
            bodies: Whether each request has its `body`.
        """
        return await self._control("GET", "log?bodies" if bodies else "log")

    async def _control(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        url = f"{self.base_url.removesuffix('/v1')}/control/{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, **arguments) as response:
            answer: dict[str, Any] = await response.json()
            return answer


@contextlib.asynccontextmanager
async def openai_server(
    *,
    faults: Sequence[Mapping[str, Any]] = (),
    turns: int = 10,
    latency_ms: float = 0,
    seed: int = 0,
    port: int = 0,
    arguments: Sequence[str] = (),
) -> AsyncIterator[OpenAIServer]:
    """Runs the server.

    Args:
        faults: Those in force from the start.
        turns: A persona stops with this turn; 0 means never.
        latency_ms: How long each answer takes.
        seed: Changes all that is made up.
        port: Its port; 0 takes a free one.
        arguments: Further words of its command line.

    Yields:
        The server, ready. It is stopped at the end.

    Raises:
        RuntimeError: It did not start.
    """
    words = ["--port", str(port), "--turns", str(turns), "--latency-ms", str(latency_ms), "--seed", str(seed)]
    if faults:
        words += ["--faults", json.dumps(list(faults))]
    async with python_service("tests.support.openai_server", [*words, *arguments]) as service:
        yield OpenAIServer(service)
