"""Doing something again when someone else did it at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mimic_server.domain.errors import AlreadyExistsError, ConflictError

T = TypeVar("T")

_TRIES = 10


async def once(create: Callable[[], Awaitable[T]]) -> T:
    """Creates what carries a request id, at most once.

    Args:
        create: One transaction, which answers what the request id made earlier, or else makes it.

    Raises:
        AlreadyExistsError: It is there, and no request id of ours made it.
    """
    try:
        return await create()
    except AlreadyExistsError:
        return await create()


async def uncontended(change: Callable[[], Awaitable[T]], *, named_etag: bool = False) -> T:
    """Changes what others change too.

    Args:
        change: One transaction, which reads, and saves unless someone else was faster.
        named_etag: True: the caller named the state that it changes, so no other is changed in its stead.

    Raises:
        ConflictError: The caller's state is an older one, or others were faster each time.
    """
    for _ in range(0 if named_etag else _TRIES - 1):
        try:
            return await change()
        except ConflictError:
            continue
    return await change()
