"""Files of the agent's that are too large to come inline, held for `GetMedia` while a session lasts."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from mimic_plugin_sdk._message import Media, Part

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

    def offered(self, source: MediaSource, described: Media) -> Media:
        """Make a part of a file.

        Args:
            source: Its bytes, or a callable that begins reading them anew.
            described: What is known of it.

        Returns:
            The part, with the bytes inline where they fit, otherwise with an id, unique within the session.
        """
        if isinstance(source, bytes):
            described = replace(described, size_bytes=described.size_bytes or len(source), data=None)
            if len(source) <= INLINE_BYTES:
                return replace(described, data=source)
        media_id = f"media-{len(self._sources) + 1}"
        self._sources[media_id] = source
        return replace(described, media_id=media_id)

    def fitted(self, content: Part | Sequence[Part]) -> Sequence[Part]:
        """Return the parts of a message, files that are too large to come inline turned into offers."""
        parts = content if isinstance(content, Sequence) else (content,)
        return [
            self.offered(part.data, part)
            if isinstance(part, Media) and part.data is not None and len(part.data) > INLINE_BYTES
            else part
            for part in parts
        ]

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
