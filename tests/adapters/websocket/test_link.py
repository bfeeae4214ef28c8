"""What the client library tells of a frame that it did not write."""

import pytest
from mimic_adapter_websocket.link import Link, NotWrittenError, SocketLost
from mimic_adapter_websocket.presets import with_preset
from mimic_adapter_websocket.profile import compile_profile
from mimic_adapter_websocket.settings import WebSocketSettings
from mimic_plugin_sdk import Connection, Mode

from tests.adapters.websocket.scripted import ScriptedAgent, answering


async def test_a_socket_that_closes_writes_nothing_and_says_so() -> None:
    async with ScriptedAgent(answering({"type": "message", "text": "ok"})) as agent:
        settings = with_preset(WebSocketSettings(url=agent.url))
        profile = compile_profile(settings)
        link = Link(Connection("c", Mode.LIVE, settings), profile, [])
        socket = await link.open(profile.handshake.fill({}, again=False))
        await socket.send("[]")
        assert (await socket.receive())[0] == '{"type": "message", "text": "ok"}'
        await socket.close()
        with pytest.raises(NotWrittenError):
            await socket.send("[]")
        with pytest.raises(SocketLost):
            await socket.receive()
        await link.close()
