"""GTG-Shapley: what each party's update was worth in one round (Liu et al. 2022, Algorithm 1).

"GTG-Shapley: Efficient and Accurate Participant Contribution Evaluation in Federated Learning",
ACM TIST 13(4). The model of a coalition is made from the round's updates instead of by training it.
- *Between rounds*: if a round changed the model's value by less than `between`, it scores nothing.
- *Within a round*: parties join in sampled orders (`orders`); once the value is within `within` of
  everybody's, those who still join score nothing in this order.
Both are decided for each party by its own view, so its score stays what the others' rows say. The
paper samples until the mean settles; a fixed number of orders keeps the cost known beforehand. A
round with as few coalitions as the orders would value anyway is scored exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.contribution.orders import order
from secureflow.engines.contribution.shapley import Floats, Value, coalitions, shapley


@dataclass(frozen=True)
class Sampling:
    """How rounds are scored.

    Attributes:
        seed: 32 bytes.
        orders: of a round, at least 2: one alone has no interval.
        within, between: in the unit of the value, at least 0.
    """

    seed: bytes = field(repr=False)
    orders: int
    within: float
    between: float


@dataclass(frozen=True)
class RoundScores:
    """The scores of one round's parties.

    Attributes:
        scores: float64 (n,).
        variances: of the scores as estimates, (n,); 0 where they are exact.
        evaluations: models that were made and measured.
    """

    scores: Floats
    variances: Floats
    evaluations: int


def round_scores(players: int, number: int, value: Value, sampling: Sampling) -> RoundScores:
    """Return what each party's update was worth in a round.

    Args:
        players: the round's parties.
        number: the round, from 1: orders continue from one to the next.
        value: from a coalition to its value in each party's view, (n,); finite.
        sampling: how.
    """
    game = _Game(players, value)
    changed = np.abs(game.full - game.empty) >= sampling.between
    if not changed.any():
        return RoundScores(np.zeros(players), np.zeros(players), game.evaluations)
    if coalitions(players) <= sampling.orders * (players - 1):
        scores = np.where(changed, shapley(players, game), 0.0)
        return RoundScores(scores, np.zeros(players), game.evaluations)
    first = (number - 1) * sampling.orders
    gains = np.stack(
        [
            _walk(game, order(sampling.seed, players, first + index), sampling.within, changed)
            for index in range(sampling.orders)
        ]
    )
    variances = gains.var(axis=0, ddof=1) / sampling.orders
    return RoundScores(gains.mean(axis=0), variances, game.evaluations)


def _walk(
    game: _Game, joining: tuple[int, ...], within: float, changed: NDArray[np.bool_]
) -> Floats:
    """Return what each party gains as they join in this order, (n,)."""
    gains, mask, before = np.zeros(game.players), 0, game.empty
    waiting = {player for player in joining if changed[player]}
    for player in joining:
        # A party whose view has once come so near to everybody's scores nothing: by its own view
        # alone, however long the walk goes on for others.
        waiting = {one for one in waiting if abs(game.full[one] - before[one]) >= within}
        if not waiting:
            break
        mask |= 1 << player
        after = game(mask)
        if player in waiting:
            gains[player] = after[player] - before[player]
            waiting.discard(player)
        before = after
    return gains


class _Game:
    """A round's coalitions, each valued once."""

    def __init__(self, players: int, value: Value) -> None:
        self.players, self._value = players, value
        self._known: dict[int, Floats] = {}
        self.empty, self.full = self(0), self((1 << players) - 1)

    @property
    def evaluations(self) -> int:
        """How many coalitions were valued."""
        return len(self._known)

    def __call__(self, mask: int) -> Floats:
        """Return a coalition's value in each party's view."""
        if mask not in self._known:
            self._known[mask] = np.asarray(self._value(mask), np.float64)
        return self._known[mask]
