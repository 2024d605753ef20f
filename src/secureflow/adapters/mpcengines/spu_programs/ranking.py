"""Comparing and ranking: each party has one number per measure, and nobody shows it.

Input `values`: one number for each of m measures, the same m at all that bring any. Receivers learn
`ranks`, shape (parties that bring any, m): 1 for the largest, and equal numbers have equal ranks: 1
more than how many are larger. With two parties that is who has more, or that both have the same.

Exact: numbers are whole after they are multiplied by 10^`decimals` and rounded, at most 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, Final

import numpy as np

from .whole import Array, Shapes, bringing, whole

INPUTS: Final = {"values": 1}
WHOLE: Final = True


def prepare(inputs: Mapping[str, Array], parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Return the numbers as whole ones."""
    return {name: whole(array, parameters) for name, array in inputs.items()}


def slots(shapes: Shapes, _parameters: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return everybody's numbers."""
    return [(place, "values") for place in bringing(shapes, "values")]


def function(
    xp: Any, _shapes: Shapes, _parameters: Mapping[str, Any]
) -> Callable[..., tuple[Any, ...]]:
    """Return: how many of the others are larger, plus 1, of each party and measure."""

    def ranks(*values: Any) -> tuple[Any, ...]:
        pairs = list(permutations(range(len(values)), 2))
        ours = xp.concatenate([values[one] for one, _ in pairs])
        theirs = xp.concatenate([values[other] for _, other in pairs])
        larger = (theirs > ours).astype(xp.int64).reshape(len(values), len(values) - 1, -1)
        return (1 + xp.sum(larger, axis=1),)

    return ranks


def finish(
    results: Sequence[Array], _shapes: Shapes, _parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """Return the ranks."""
    return {"ranks": np.asarray(results[0], np.int64)}
