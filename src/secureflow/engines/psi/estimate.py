"""What an intersection will cost, from how many keys there may be: shown before anybody consents.

Measured with two parties of a million keys each on the reference machine (`python -m
benchmarks.psi`); time and bytes grow with the keys, memory with them beyond what an engine takes
anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from secureflow.domain.specs.psi import PsiProtocol, PsiSpec
from secureflow.engines.peers.expected import low_limits
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class _Cost:
    """Of a million keys at each of two sides.

    Args:
        seconds: that a run takes.
        mb: over the channel, both ways.
        memory_mb: of one party's process.
        fixed_mb: over the channel, however few keys there are.
    """

    seconds: float
    mb: float
    memory_mb: float
    fixed_mb: float


_COSTS: Final[dict[PsiProtocol, _Cost]] = {
    "rr22": _Cost(4.6, 33.0, 640.0, 1.1),
    "kkrt": _Cost(8.7, 117.0, 550.0, 0.1),
    "ecdh": _Cost(17.7, 76.0, 280.0, 0.1),
    "openmined": _Cost(340.0, 105.0, 400.0, 0.1),
}
_BASE_MB: Final = 200.0
"""Of an engine's process before it reads a key."""
_MOST: Final = 1.5
"""Million keys beyond which memory grows no more: longer lists run in buckets."""
_READING: Final = 1.5
"""Seconds per million rows that their owner reads, normalises and commits to."""
_START: Final = 1.5
"""Seconds until channels and engines are up."""
_TOLD: Final = 16
"""Bytes of a key of what all have, as the receiver tells it to each of the others."""
_TELLING: Final = 0.2
"""Seconds per million keys to write and send them, and to find them in their reader's list."""
_CELL: Final = 64
"""Bytes of a cell that is handed over; a long text takes more."""


def estimate(spec: PsiSpec) -> dict[str, JSON]:
    """Return the cost of one attempt, if every party brings as many keys as it may.

    `bytes` over all channels, `memory_bytes` at the party that needs most, `seconds`.
    """
    seconds, mb, memory = _START, 0.0, 0.0
    receiver = spec.side(spec.receiver).most_rows
    for other in spec.others(spec.receiver):
        millions = (receiver + spec.side(other).most_rows) / 2e6
        steps: tuple[PsiProtocol, ...] = (spec.protocol,)
        for one in ("openmined", *steps) if spec.size_first else steps:
            cost = _COSTS[one]
            seconds += cost.seconds * millions
            mb += cost.fixed_mb + cost.mb * millions
            memory = max(memory, _BASE_MB + cost.memory_mb * min(millions, _MOST))
    if spec.tells_others:
        told = min(one.most_rows for one in spec.sides) / 1e6
        mb += _TOLD * told * len(spec.others(spec.receiver))
        seconds += _TELLING * told
    seconds += _READING * max(one.most_rows for one in spec.sides) / 1e6
    return {
        "bytes": round(mb * 1e6),
        "memory_bytes": round(memory * 1e6),
        "seconds": round(seconds, 1),
    }


def traffic(spec: PsiSpec) -> int:
    """Return the bytes of one attempt over all channels, with the columns that are handed over."""
    cells = sum(
        one.most_rows * len(one.columns) for one in spec.sides if spec.hands_over(one.party)
    )
    handed = _CELL * cells * (len(spec.roster) - 1)
    return int(str(estimate(spec)["bytes"])) + handed


def below(spec: PsiSpec) -> Iterator[str]:
    """Yield which limits are below the estimate; the receiver has a channel to every other."""
    return low_limits(
        seconds=spec.limits.seconds,
        peer_megabytes=spec.limits.peer_megabytes,
        expected=float(str(estimate(spec)["seconds"])),
        carried=traffic(spec),
    )
