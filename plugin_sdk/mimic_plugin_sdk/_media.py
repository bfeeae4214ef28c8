"""Files of the agent's that are too large to come inline, held for `GetMedia` while a session lasts."""

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

MediaSource: TypeAlias = bytes | Callable[[], AsyncIterator[bytes]]

INLINE_BYTES = 1 << 20
"""Largest file that comes inline."""
CHUNK_BYTES = 256 * 1024
"""Largest piece of one that does not."""


class Offers:
    """The files that one session offers, by id."""

    __slots__ = ("_sources",)

    def __init__(self) -> None:
        """Begin with none."""
        self._sources: dict[str, MediaSource] = {}

    def add(self, source: MediaSource) -> str:
        """Offer a file.

        Args:
            source: Its bytes, or a callable that begins reading them anew.

        Returns:
            Its id, unique within the session.
        """
        media_id = f"media-{len(self._sources) + 1}"
        self._sources[media_id] = source
        return media_id

    def knows(self, media_id: str) -> bool:
        """Return whether a file is offered."""
        return media_id in self._sources

    async def read(self, media_id: str) -> AsyncIterator[bytes]:
        """Read an offered file from its beginning.

        Args:
            media_id: An id that `add` made.

        Yields:
            Its bytes in order, at most 256 KiB each.
        """
        source = self._sources[media_id]
        if isinstance(source, bytes):
            for start in range(0, len(source), CHUNK_BYTES):
                yield source[start : start + CHUNK_BYTES]
            return
        async for piece in source():
            for start in range(0, len(piece), CHUNK_BYTES):
                yield piece[start : start + CHUNK_BYTES]
