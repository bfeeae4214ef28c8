"""The bundled example agent, as a process of its own, for tests."""

import contextlib
import dataclasses
import json
import pathlib
import tempfile
from collections.abc import AsyncIterator

from tests.support.processes import Service, python_service


@dataclasses.dataclass(frozen=True)
class ReceivedMessage:
    """A message that reached the agent, as its log witnesses it."""

    conversation_id: str
    message_id: str | None
    """The id in the body, if the client sent one."""
    header_message_id: str | None
    """The header `Mimic-Message-Id`, if the client sent one."""
    text: str
    monotonic_ns: int
    """When it came, on the machine's monotonic clock."""
    time: str
    """When it came, in UTC, ISO 8601."""


@dataclasses.dataclass(frozen=True)
class SupportAgent:
    """The running agent and its log."""

    service: Service
    log: pathlib.Path

    @property
    def url(self) -> str:
        """Its address, such as `http://127.0.0.1:40001`; messages go to `/chat`."""
        return self.service.url

    def received(self) -> list[ReceivedMessage]:
        """Every message that reached it so far, in order of arrival, repeats included."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [ReceivedMessage(**json.loads(line)) for line in lines]


@contextlib.asynccontextmanager
async def support_agent(
    *,
    delay_ms: int | None = 0,
    slow_ms: int = 2500,
    port: int = 0,
    log: pathlib.Path | None = None,
) -> AsyncIterator[SupportAgent]:
    """Runs the example agent.

    Args:
        delay_ms: How long it takes to answer; None means its own 50 to 150 ms.
        slow_ms: How long its slow intent (opening hours) takes.
        port: Its port; 0 takes a free one. Name one to start it again where it was.
        log: Where it writes what it received; None means a file of its own, gone at the end.

    Yields:
        The agent, ready. It is stopped at the end.

    Raises:
        RuntimeError: It did not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = log or pathlib.Path(folder, "received.jsonl")
        arguments = ["--port", str(port), "--slow-ms", str(slow_ms), "--log", str(path)]
        if delay_ms is not None:
            arguments += ["--delay-ms", str(delay_ms)]
        async with python_service("examples.support_agent", arguments) as service:
            yield SupportAgent(service, path)
