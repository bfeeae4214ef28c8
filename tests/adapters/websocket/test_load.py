"""Many sockets at once, and a host that is behind."""

import asyncio
from typing import Any

from tests.adapters.websocket.hosting import Adapter
from tests.adapters.websocket.scripted import Peer, ScriptedAgent
from tests.plugin_sdk.host import SECONDS

DONE = {"type": "turn_complete"}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "text": text, **fields}


async def test_a_host_that_is_behind_holds_the_agent_back(adapter: Adapter) -> None:
    written = 0

    async def play(peer: Peer) -> None:
        nonlocal written
        peer.accept()
        await peer.hear()
        while True:
            peer.tell(said("x" * 20_000))
            await peer.drained()
            written += 1

    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url) as session:
        await session.send("hi")
        await session.talk.until("message")
        before = -1
        async with asyncio.timeout(SECONDS):
            while written != before:
                before = written
                await asyncio.wait([asyncio.create_task(session.talk.event())], timeout=0.3)
        assert written * 20_000 < 40_000_000


async def test_many_sockets_at_once_do_not_mix(adapter: Adapter) -> None:
    async def play(peer: Peer) -> None:
        peer.accept()
        while True:
            message = await peer.hear_json()
            peer.tell(said(f"{message['conversation_id']} {message['text']}"), DONE)

    async def one(connection: str, number: int) -> None:
        session = await adapter.open(connection)
        ref = (await session.talk.until("opened")).opened.conversation_ref
        for turn in range(3):
            assert (await session.say(f"{number}-{turn}")).texts == [f"{ref} {number}-{turn}"]
        await session.close()

    async with ScriptedAgent(play) as agent:
        connection = await adapter.connect(url=agent.url)
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(one(connection, number))
