"""The scores of a job: rounds added up, with intervals, shares and a number of decimals.

A score is in the unit of the value that was measured (for instance the loss that the updates took
off). Its 95 % interval says what the sampled orders leave open, not what other rows would say.
Shares count a negative score as nothing and add up to 1 exactly; they follow from the rounded
scores, so that whoever reads these can compute them again (`domain.scoredocument`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from secureflow.domain.scoredocument import DECIMALS, shares_of
from secureflow.engines.contribution.gtg import RoundScores

_STUDENT: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""The 97.5 % points of Student's t for 1 to 30 degrees of freedom."""
_NORMAL: Final = 1.96


@dataclass(frozen=True)
class Score:
    """What a party's updates were worth.

    Attributes:
        score: in the unit of the value; below 0 if the others' rows were measured worse for them.
        low, high: its 95 % interval.
        share: of all, from 0; a negative score counts as 0.
    """

    score: float
    low: float
    high: float
    share: float


@dataclass
class Tally:
    """Adds rounds up.

    Attributes:
        parties: whoever may appear in a round, in the order of the scores.
        orders: sampled orders of a round.
    """

    parties: Sequence[str]
    orders: int
    evaluations: int = 0
    rounds: list[int] = field(default_factory=list)
    _sampled: int = 0

    def __post_init__(self) -> None:
        self._scores = dict.fromkeys(self.parties, 0.0)
        self._variances = dict.fromkeys(self.parties, 0.0)

    def add(self, number: int, present: Sequence[str], scored: RoundScores) -> None:
        """Add a round.

        Args:
            number: the round; each is added once.
            present: its parties, in the order of their scores; who is absent scores nothing.
            scored: their scores.
        """
        for party, score, variance in zip(present, scored.scores, scored.variances, strict=True):
            self._scores[party] += float(score)
            self._variances[party] += float(variance)
        self._sampled += bool(np.any(scored.variances))
        self.evaluations += scored.evaluations
        self.rounds.append(number)

    def scores(self) -> dict[str, Score]:
        """Return each party's score, rounded."""
        factor = student(self._sampled * (self.orders - 1))
        shares = shares_of([_steps(self._scores[party]) for party in self.parties])
        found = {}
        for party, share in zip(self.parties, shares, strict=True):
            score, half = self._scores[party], factor * self._variances[party] ** 0.5
            figures = (_steps(score), _steps(score - half), _steps(score + half), share)
            found[party] = Score(*(one / 10**DECIMALS for one in figures))
        return found


def student(freedom: int) -> float:
    """Return how many standard errors a 95 % interval reaches to each side."""
    return _STUDENT[freedom - 1] if 1 <= freedom <= len(_STUDENT) else _NORMAL


def _steps(value: float) -> int:
    return round(value * 10**DECIMALS)
