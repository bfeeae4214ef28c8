"""The floor of the adapter hop: a bidirectional echo on grpc.aio alone, in a process of its own.

python -m tests.benchmarks.bare_echo
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from mimic.adapter.v1 import message_pb2

METHOD = "/bench.Echo/Chat"


async def _chat(requests: AsyncIterator[message_pb2.Message], context: Any) -> AsyncIterator[Any]:
    async for request in requests:
        yield request


async def _serve() -> None:
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(
        _chat,
        request_deserializer=message_pb2.Message.FromString,
        response_serializer=message_pb2.Message.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Chat": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
