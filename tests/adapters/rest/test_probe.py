"""What a probe of a connection finds."""

import pytest

from tests.adapters.rest.hosting import Rest
from tests.adapters.rest.scripted import Play, ScriptedAgent, answer, close


@pytest.mark.parametrize(
    "health_path, play, state",
    [
        ("", answer(200, b""), "READY"),
        ("", answer(405, b""), "READY"),
        ("", answer(404, b""), "READY"),
        ("", answer(401, b""), "BAD_CREDENTIALS"),
        ("", answer(503, b""), "FAILED"),
        ("", close(), "FAILED"),
        ("/healthz", answer(200, b""), "READY"),
        ("/healthz", answer(404, b""), "FAILED"),
        ("/healthz", answer(403, b""), "BAD_CREDENTIALS"),
    ],
)
async def test_probes(rest: Rest, health_path: str, play: Play, state: str) -> None:
    async with ScriptedAgent([play]) as agent:
        connection = await rest.connect(url=agent.url, health_path=health_path, token="of-the-probe")
        found, reason = await rest.check(connection)
        (received,) = await agent.received(1)
        await rest.disconnect(connection)
    assert found == state
    assert bool(reason) == (state != "READY")
    assert received.line == f"{'GET' if health_path else 'OPTIONS'} /chat{health_path} HTTP/1.1"
    assert received.headers["authorization"] == "Bearer of-the-probe"


async def test_nobody_is_there(rest: Rest) -> None:
    agent = ScriptedAgent()
    async with agent:
        connection = await rest.connect(url=agent.url)
        assert await rest.check(connection) == ("READY", "")
    found, reason = await rest.check(connection)
    assert found == "FAILED"
    assert "127.0.0.1" in reason
    await rest.disconnect(connection)
