"""What a masked sum costs, from its size alone; shown before consent.

The figures of one vector are those of `python -m benchmarks.jointsums` on two cores with three
parties and the centre beside each other: parties on machines of their own are faster.
"""

from __future__ import annotations

from typing import Final

from secureflow.engines.secagg.encoding import CHECK_SLOTS
from secureflow.engines.secagg.wholenumbers import BYTES
from secureflow.kit.canonical import JSON

_FRAMES: Final = 4096
"""Bytes of keys, shares, votes and questions of a party, plus as many for each other one."""
_SECONDS: Final = 0.15
"""Of a round of few numbers."""
_PER_NUMBER: Final = 4e-8
"""Seconds more for each number of each party, and for each mask of it."""
_COPIES: Final = 8
"""Vectors that a party, or the centre, holds at one time."""


def estimate(numbers: int, parties: int, *, result: int = 0) -> dict[str, JSON]:
    """Return bytes over all links, the memory of a party beside its rows, and seconds.

    Args:
        numbers: of the vector.
        parties: of the roster.
        result: bytes of the file of totals that somebody fetches, if there is one.
    """
    vector = (numbers + 1 + CHECK_SLOTS) * BYTES
    frames = _FRAMES * parties * parties
    return {
        "bytes": parties * vector + frames + result,
        "memory_bytes": _COPIES * vector,
        "seconds": round(_SECONDS + _PER_NUMBER * numbers * parties, 2),
    }
