"""Messages that every gRPC program knows (google.rpc, health, reflection), without their usual packages.

Their descriptors come with mimic-proto and live in a pool of their own: the default pool refuses a second
copy of a file, and an adapter's author may import the usual packages.
"""

from functools import cache
from pathlib import Path
from typing import Any

import mimic.launch


@cache
def pool() -> Any:
    """Return the descriptor pool, with every file of wellknown.binpb."""
    from google.protobuf import descriptor_pb2, descriptor_pool  # noqa: PLC0415 - not needed to start

    path = Path(mimic.launch.__path__[0], "wellknown.binpb")
    made = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        made.AddSerializedFile(file.SerializeToString())
    return made


@cache
def message(name: str) -> Any:
    """Return the class of a message.

    Args:
        name: Its full name, such as "google.rpc.Status".

    Raises:
        KeyError: The pool has no such message.
    """
    from google.protobuf import message_factory  # noqa: PLC0415 - not needed to start

    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))
