"""Starts an agent of one shape for a test."""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tests.support.processes import Service, python_service


class ShapeAgent:
    """A running agent of one shape."""

    def __init__(self, service: Service, log: pathlib.Path) -> None:
        self.service = service
        self._log = log

    @property
    def url(self) -> str:
        """Its address, without a slash at the end; `openai-chat` has `/v1` at the end."""
        return self.service.url

    def received(self) -> list[dict[str, Any]]:
        """Each message that reached it: `conversation_id`, `text`, `headers`, `path`, `monotonic_ns`."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]


@contextlib.asynccontextmanager
async def shape_agent(
    name: str, *, port: int = 0, arguments: Sequence[str] = ()
) -> AsyncIterator[ShapeAgent]:
    """Runs an agent of one shape.

    Args:
        name: One of `tests.support.shapes.__main__.SHAPES`, or `plain`, or `openai-chat`.
        port: Its port; 0 takes a free one.
        arguments: Further words of its command line.

    Yields:
        The agent, ready. It is stopped at the end.

    Raises:
        RuntimeError: It did not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "received.jsonl")
        words = [name, "--port", str(port), "--log", str(log), *arguments]
        async with python_service("tests.support.shapes", words) as service:
            yield ShapeAgent(service, log)
