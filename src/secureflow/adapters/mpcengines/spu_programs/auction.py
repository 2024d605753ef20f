"""Sealed bids: the highest one wins, and the losers' stay closed.

Input `bids`: a bid for each of m lots, the same m at all that bid. Receivers learn of each lot
`winner`, the winner's place among the parties, the first of equals, and `price`: the highest bid
(`price: first`), or the second highest (`price: second`, Vickrey 1961), which with two bidders is
the loser's bid.

Exact: bids are whole after they are multiplied by 10^`decimals` and rounded, at most 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from .errors import RefusedError
from .whole import Array, Shapes, bringing, decimals, whole

INPUTS: Final = {"bids": 1}
WHOLE: Final = True
PRICES: Final = ("first", "second")


def prepare(inputs: Mapping[str, Array], parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Return the bids as whole numbers."""
    return {name: whole(array, parameters) for name, array in inputs.items()}


def slots(shapes: Shapes, parameters: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return everybody's bids."""
    if parameters.get("price", "first") not in PRICES:
        raise RefusedError("parameter_wrong")
    return [(place, "bids") for place in bringing(shapes, "bids")]


def function(
    xp: Any, _shapes: Shapes, parameters: Mapping[str, Any]
) -> Callable[..., tuple[Any, ...]]:
    """Return: go through the bids, keeping the highest, whose it is, and the second highest."""
    second = parameters.get("price", "first") == "second"

    def award(*bids: Any) -> tuple[Any, ...]:
        best, runner_up, winner = bids[0], None, xp.zeros_like(bids[0])
        for place, bid in enumerate(bids[1:], 1):
            higher = bid > best
            if second:
                beaten = xp.where(higher, best, bid)
                runner_up = beaten if runner_up is None else _larger(xp, beaten, runner_up)
            winner = xp.where(higher, place, winner)
            best = xp.where(higher, bid, best)
        return winner, runner_up if second else best

    return award


def _larger(xp: Any, one: Any, other: Any) -> Any:
    return xp.where(one > other, one, other)


def finish(
    results: Sequence[Array], shapes: Shapes, parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """Return winners by their place among all parties, and prices as they were bid."""
    places = np.asarray(bringing(shapes, "bids"), np.int64)
    price = np.asarray(results[1], np.int64)
    digits = decimals(parameters)
    told = price / 10.0**digits if digits else price
    return {"winner": places[np.asarray(results[0], np.int64)], "price": told}
