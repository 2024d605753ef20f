"""An empirical lower bound on ε: can a distinguisher tell whether a canary was trained on?

(ε, δ)-DP bounds every test: TPR ≤ e^ε · FPR + δ. From counts of a fixed test, exact
(Clopper–Pearson 1934) confidence limits on both rates give a bound on ε that holds with the stated
confidence (Jagielski et al. 2020; Nasr et al. 2021). A measured bound above the accounted ε proves
a fault; one below proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Outcomes of a fixed test.

    Args:
        hits: number of runs with the canary that the test flagged, of `present`.
        alarms: number of runs without it that the test flagged, of `absent`.
    """

    hits: int
    present: int
    alarms: int
    absent: int


def clopper_pearson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Return the exact two-sided confidence interval of a binomial proportion."""
    from scipy.stats import beta  # installed with dp-accounting; takes half a second to import

    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0
    if successes < trials:
        high = float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def epsilon_lower_bound(counts: Counts, delta: float, confidence: float = 0.95) -> float:
    """Return a lower bound on the mechanism's ε, with this confidence; 0 if nothing shows.

    Both the test and its complement are used; each of the four limits gets its share of the
    error, so the bound holds for all at once.
    """
    each = 1 - (1 - confidence) / 2
    hit = clopper_pearson(counts.hits, counts.present, each)
    alarm = clopper_pearson(counts.alarms, counts.absent, each)
    flagged = _ratio(hit[0], alarm[1], delta)
    cleared = _ratio(1 - alarm[1], 1 - hit[0], delta)
    return max(0.0, flagged, cleared)


def count(with_canary: Sequence[float], without: Sequence[float], threshold: float) -> Counts:
    """Flag scores ≥ threshold, which must come from *other* runs, or the bound is void."""
    return Counts(
        hits=sum(s >= threshold for s in with_canary),
        present=len(with_canary),
        alarms=sum(s >= threshold for s in without),
        absent=len(without),
    )


def best_threshold(with_canary: Sequence[float], without: Sequence[float], delta: float) -> float:
    """Choose the threshold that gives the highest bound on these (pilot) runs."""
    candidates = sorted({*with_canary, *without})
    return max(
        candidates,
        key=lambda at: epsilon_lower_bound(count(with_canary, without, at), delta),
    )


def _ratio(true_rate: float, false_rate: float, delta: float) -> float:
    if true_rate <= delta or false_rate <= 0:
        return 0.0
    return math.log((true_rate - delta) / false_rate)
