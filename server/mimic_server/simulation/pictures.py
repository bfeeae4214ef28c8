"""Pictures that personas send: small, real PNG files, made here (PNG specification, third edition, W3C)."""

from __future__ import annotations

import random
import struct
import zlib

_SIDE = 48
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(draws: random.Random) -> bytes:
    """A picture of a box on a table: two colours, the box where it is drawn; about 200 bytes."""
    table = bytes(draws.randrange(120, 220) for _ in range(3))
    box = bytes(draws.randrange(30, 120) for _ in range(3))
    left, top, side = draws.randrange(4, 16), draws.randrange(4, 16), draws.randrange(16, 28)
    plain = b"\0" + table * _SIDE
    across = b"\0" + table * left + box * side + table * (_SIDE - left - side)
    rows = plain * top + across * side + plain * (_SIDE - top - side)
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
