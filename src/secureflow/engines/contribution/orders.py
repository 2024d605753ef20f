"""The orders in which a round's parties join, drawn from a seed that anyone can repeat.

Guided sampling (Liu et al. 2022, section 3.3) has every party come first equally often. Here each
drawn order is followed by its rotations, so that over n orders every party has every place once;
the orders of one round continue those of the round before. Every single order is uniform.
Fisher and Yates's shuffle (Knuth, TAOCP 2, algorithm 3.4.2 P) on SHA-256.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

_LABEL: Final = b"secureflow contribution order\n"


def order(seed: bytes, players: int, index: int) -> tuple[int, ...]:
    """Return the order of this index in the sequence that belongs to the seed.

    Args:
        seed: 32 bytes.
        players: at least 1.
        index: 0 and up; `players` orders in a row are rotations of one.
    """
    block, turn = divmod(index, players)
    drawn = list(range(players))
    stream = _Stream(seed, players, block)
    for last in range(players - 1, 0, -1):
        other = stream.below(last + 1)
        drawn[last], drawn[other] = drawn[other], drawn[last]
    return (*drawn[turn:], *drawn[:turn])


class _Stream:
    """Numbers from SHA-256 over seed and a counter, each of 64 bits."""

    def __init__(self, seed: bytes, players: int, block: int) -> None:
        self._prefix = _LABEL + seed + players.to_bytes(4, "big") + block.to_bytes(8, "big")
        self._count = 0

    def below(self, end: int) -> int:
        """Return a uniform number below `end`; what would favour small ones is drawn again."""
        most = (1 << 64) // end * end
        while True:
            text = self._prefix + self._count.to_bytes(8, "big")
            self._count += 1
            number = int.from_bytes(sha256(text).digest()[:8], "big")
            if number < most:
                return number % end
