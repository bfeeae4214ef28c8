"""The agent that the broken adapter talks to: lines of JSON over TCP, a conversation a connection.

`{"session": ...}` first, then `{"id": ..., "text": ...}` messages. Each gets `{"text": "you said <text>"}`,
and `say <n>` gets n of them. It prints its address first, and then each message that it receives.
"""

import asyncio
import contextlib
import json

TOKEN = "s3cret-of-the-agent"


def _print(entry: dict[str, object]) -> None:
    print(json.dumps(entry), flush=True)


class Agent:
    def __init__(self) -> None:
        self.answered: dict[str, dict[str, list[str]]] = {}
        """Answers by message id, by session."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = json.loads(await reader.readline())
        known = self.answered.setdefault(hello["session"], {})
        # A client that lost its connection learns what arrived of what it is unsure of, and the answers.
        arrived = [message_id for message_id in hello["unsure"] if message_id in known]
        self._write(writer, {"arrived": arrived})
        for message_id in arrived:
            for answer in known[message_id]:
                self._write(writer, {"text": answer, "of": message_id})
        while line := await reader.readline():
            message = json.loads(line)
            _print({"text": message["text"]})
            known[message["id"]] = _answers(message["text"])
            for answer in known[message["id"]]:
                self._write(writer, {"text": answer, "of": message["id"]})
            await writer.drain()

    def _write(self, writer: asyncio.StreamWriter, entry: dict[str, object]) -> None:
        writer.write(json.dumps(entry).encode() + b"\n")


def _answers(text: str) -> list[str]:
    if text.startswith("say "):
        return [f"{number}" for number in range(int(text.split()[1]))]
    return [f"you said {text}"]


async def main() -> None:
    server = await asyncio.start_server(Agent().converse, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    port = server.sockets[0].getsockname()[1]
    _print({"address": f"127.0.0.1:{port}", "token": TOKEN})
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
