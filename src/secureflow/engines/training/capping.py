"""The caps of a spec on one party's update: the norm of its change, and its weight in sums.

A change may be longer than the memory of whoever caps it, so it comes in blocks, as often as it is
asked for: once for its norm, once to be written. One block gives the numbers of the whole vector.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing.wiretypes import ROUNDING, rounded_to

BLOCK: Final = 1 << 20
"""Values of a vector that are computed with at once."""

Blocks = Callable[[], Iterator[NDArray[Any]]]
"""Returns a vector from its beginning, in blocks."""


@dataclass
class Cuts:
    """What caps changed of one party's numbers, counted: for whoever may know it.

    Args:
        updates: that were looked at.
        longer: those that were longer than `clip_norm`.
        longest: of them, as it was.
        reports: of sums that were looked at.
        sums: the name of a sum → the reports in which it was beyond what its rows allow.
        largest: the name of a sum → its largest amount in any report.
    """

    updates: int = 0
    longer: int = 0
    longest: float = 0.0
    reports: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)

    def report(self, reported: Mapping[str, float], counted: Mapping[str, float]) -> None:
        """Count a report of sums, and what they count as."""
        self.reports += 1
        self.sums.update(name for name, value in counted.items() if value != reported[name])
        for name in counted:
            self.largest[name] = max(self.largest.get(name, 0.0), abs(reported[name]))

    def update(self, norm: float, limit: float) -> None:
        """Count an update of this norm."""
        self.updates += 1
        if norm > limit:
            self.longer += 1
            self.longest = max(self.longest, norm)


def update_parts(spec: TrainingSpec) -> tuple[tuple[int, float], ...]:
    """Return the lengths of an update's parts, and how long (L2) each may be.

    The change of the model is one; what its strategy sends beside it is another.
    """
    sizes = spec.change_parameters, spec.update_parameters - spec.change_parameters
    return tuple((size, spec.limits.clip_norm) for size in sizes if size)


def clipped_delta(
    spec: TrainingSpec, delta: NDArray[Any], cuts: Cuts | None = None
) -> NDArray[np.float32]:
    """Return a change of at most the spec's `clip_norm` (L2), float32; see `clipped_blocks`."""
    (clipped,) = clipped_blocks(spec, lambda: iter((delta,)), cuts)()
    return np.asarray(clipped, np.float32)


def clipped_blocks(spec: TrainingSpec, delta: Blocks, cuts: Cuts | None = None) -> Blocks:
    """Return a change of at most the spec's `clip_norm` (L2), float32.

    Slightly below the limit where the wire has another dtype: rounding to it must not raise the
    norm above.

    Args:
        spec: the signed spec.
        delta: the change.
        cuts: counts it.
    """
    norm = norm_of(delta)
    margin = 0.0 if spec.wire_type == "float32" else 2 * ROUNDING[spec.wire_type]
    limit = spec.limits.clip_norm * (1 - margin)
    if cuts is not None:
        cuts.update(norm, limit)
    if norm <= limit:
        return lambda: (np.asarray(block, np.float32) for block in delta())
    share = limit * (1 - 1e-6) / norm
    return lambda: (np.asarray(block * share, np.float32) for block in delta())


def as_sent(spec: TrainingSpec, delta: NDArray[np.float32]) -> NDArray[Any]:
    """Return a clipped change in the dtype in which it travels; see `blocks_as_sent`."""
    (sent,) = blocks_as_sent(spec, lambda: iter((delta,)))()
    return sent


def blocks_as_sent(spec: TrainingSpec, delta: Blocks) -> Blocks:
    """Return a clipped change in the dtype in which it travels, no longer than the spec allows."""

    def sent() -> Iterator[NDArray[Any]]:
        return (rounded_to(spec.wire_type, block) for block in delta())

    if spec.wire_type != "float16" or norm_of(sent) <= spec.limits.clip_norm:
        return sent
    return lambda: (_within(spec, block) for block in delta())


def _within(spec: TrainingSpec, delta: NDArray[np.float32]) -> NDArray[Any]:
    # Where float16 has its smallest steps, rounding may double a value.
    steps = np.trunc(delta * np.float32(2.0**24)) * np.float32(2.0**-24)
    return rounded_to(spec.wire_type, np.where(np.abs(delta) < 2.0**-14, steps, delta))


def norm_of(vector: Blocks) -> float:
    """Return the L2 norm of a vector."""
    doubles = (block.astype(np.float64, copy=False) for block in vector())
    return math.sqrt(sum(float(block.dot(block)) for block in doubles))


def capped_sums(spec: TrainingSpec, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a party above `max_weight` down to it: its means stay, its influence is capped."""
    share = min(1.0, spec.limits.max_weight / max(float(sums[0]), 1.0))
    return np.asarray(sums * share)
