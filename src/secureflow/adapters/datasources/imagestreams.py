"""What the bytes of an image hold, beside what its header says; nothing of it becomes pixels.

Pillow takes a PNG for whole whose compressed stream ends properly, however few lines it holds, and
decodes a JPEG's scans, each over all of its pixels, as many as there are.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = 8
"""Bytes before a PNG's first chunk."""
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by a PNG's colour type."""
_PASSES: Final = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""First column and line of the passes of an interlaced PNG, and their distances."""
_AT_ONCE: Final = 4096
"""Bytes that are inflated at once: to at most a thousand times as many."""
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff])")
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of a JPEG that no length follows: restarts, and its beginning."""
_END, _SCAN = 0xD9, 0xDA


def holds_all_lines(png: bytes) -> bool:
    """Tell whether a PNG's stream is as long as its header needs it.

    Raises:
        struct.error, zlib.error, LookupError: it is damaged.
    """
    needed, found, inflater = 0, 0, zlib.decompressobj()
    for name, body in _chunks(png):
        if name == b"IHDR":
            needed = _needed(*struct.unpack(">IIBBBBB", body))
        elif name == b"IDAT":
            for at in range(0, len(body), _AT_ONCE):
                found += len(inflater.decompress(body[at : at + _AT_ONCE]))
                if found >= needed or inflater.eof:
                    return found >= needed
    return False


def has_more_scans(jpeg: bytes, most: int) -> bool:
    """Tell whether a JPEG has more scans; what its metadata or a film behind it hold are none."""
    if jpeg.count(bytes([0xFF, _SCAN])) <= most:
        return False
    at = scans = 0
    while (found := _MARKER.search(jpeg, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == _END:
            break
        if marker in _ALONE:
            continue
        scans += marker == _SCAN
        if scans > most:
            return True
        at += int.from_bytes(jpeg[at : at + 2], "big")
    return False


def _chunks(png: bytes) -> Iterator[tuple[bytes, memoryview]]:
    whole, at = memoryview(png), _SIGNATURE
    while at + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        yield name, whole[at + 8 : at + 8 + length]
        at += length + 12


def _needed(
    width: int, height: int, bits: int, colour: int, _method: int, _filter: int, interlaced: int
) -> int:
    """Return the bytes of all lines, each with its filter's."""
    bits *= _CHANNELS[colour]
    total = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, lines = -(-max(0, width - left) // across), -(-max(0, height - top) // down)
        total += lines * (1 + -(-columns * bits // 8)) if columns else 0
    return total
