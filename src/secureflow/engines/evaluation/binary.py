"""The figures of a binary target, from counts of positives and negatives by cell of log-odds.

Positive is predicted where the log-odds are above a threshold, which is an edge of a cell, so that
every confusion matrix is exact. AUC and KS know no order within a cell: `bounds` says by how much
those of the scores themselves may differ. Log loss and Brier score are of the rows, not the cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from secureflow.domain.specs.evaluation import Costs
from secureflow.engines.evaluation import intervals
from secureflow.engines.evaluation.intervals import Interval, wilson
from secureflow.engines.evaluation.layout import BinaryForm, Floats
from secureflow.engines.evaluation.sums import Sums
from secureflow.kit.canonical import JSON

GROUPS: Final = 10
"""Groups of about equally many rows in a calibration table, and depths of a lift table."""
DEPTHS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of rows of which a table of thresholds tells what it costs to call them positive."""
_POINTS: Final = 80
"""Most points of a curve, about."""
_SQUARES: Final = {"loss": "loss_squares", "brier": "brier_squares"}


@dataclass(frozen=True)
class Scores:
    """Rows by cell of log-odds, at least one, and what follows from them.

    Args:
        form: of the sums.
        sums: read, consistent.
    """

    form: BinaryForm
    sums: Sums

    @property
    def positives(self) -> Floats:
        """Rows of class 1 by cell."""
        return self.sums.cells["positives"]

    @property
    def negatives(self) -> Floats:
        """Rows of class 0 by cell."""
        return self.sums.cells["negatives"]

    @cached_property
    def every(self) -> Floats:
        """All rows by cell."""
        return self.positives + self.negatives

    @cached_property
    def ones(self) -> float:
        """How many rows are positive."""
        return float(self.positives.sum())

    @cached_property
    def zeros(self) -> float:
        """How many rows are negative."""
        return float(self.negatives.sum())

    @cached_property
    def above(self) -> tuple[Floats, Floats]:
        """Positives and negatives above each threshold (true, false positives): (cells + 1,).

        Threshold i lies below cell i: 0 calls all rows positive, the last one none.
        """
        return _above(self.positives), _above(self.negatives)

    @cached_property
    def predicted(self) -> Floats:
        """Σ of predicted probabilities by cell; of noised sums that of the cell's middle."""
        if "predicted" in self.sums.cells:
            return self.sums.cells["predicted"]
        return np.asarray(self.every * probability(self.form.grid.middles))

    @property
    def half(self) -> int:
        """The threshold at probability ½."""
        return self.form.grid.count // 2

    def threshold(self, at: int) -> float:
        """Return a threshold as a probability: 0 is below all rows, 1 above all."""
        edges = self.form.grid.edges
        if at == 0:
            return 0.0
        return 1.0 if at > len(edges) else float(probability(edges[at - 1]))

    def log_odds(self, at: int) -> float | None:
        """Return a threshold in log-odds; None below or above all rows."""
        edges = self.form.grid.edges
        return float(edges[at - 1]) if 0 < at <= len(edges) else None

    def ks_at(self) -> int:
        """Return the threshold at which KS is reached."""
        true, false = self.above
        return int(np.abs(true / self.ones - false / self.zeros).argmax())


def probability(odds: Any) -> Any:
    """Return the probability of log-odds."""
    return np.exp(-np.logaddexp(0.0, -odds))


def figures(form: BinaryForm, sums: Sums) -> dict[str, float]:
    """Return the figures that the rows define; those at a threshold are at probability ½."""
    rows = sums.rows
    if rows < 0.5:
        return {"rows": 0}
    scores = Scores(form, sums)
    found: dict[str, float] = {"rows": round(rows)}
    if (every := scores.ones + scores.zeros) <= 0:
        return found
    found |= {"positives": round(scores.ones), "rate": scores.ones / every}
    found["predicted_rate"] = float(scores.predicted.sum()) / every
    for name, most in (("loss", form.factors["loss"]), ("brier", 1.0)):
        found[name] = min(max(sums.numbers[name] / rows, 0.0), most)
    if (auc := intervals.area(scores.positives, scores.negatives)) is not None:
        gap = intervals.distance(scores.positives, scores.negatives)
        found |= {"auc": auc, "gini": 2 * auc - 1, "ks": gap}
        found["ks_threshold"] = scores.threshold(scores.ks_at())
    found |= at_threshold(scores, scores.half)
    found["calibration_error"] = sum(
        line["rows"] * abs(line["predicted"] - line["observed"]) for line in _calibration(scores)
    ) / every  # fmt: skip
    return found


def at_threshold(scores: Scores, at: int) -> dict[str, float]:
    """Return the figures of a threshold; one whose denominator is 0 is absent."""
    cells = _matrix(scores, at)
    shares = {
        "accuracy": (cells["tp"] + cells["tn"], scores.ones + scores.zeros),
        "precision": (cells["tp"], cells["tp"] + cells["fp"]),
        "recall": (cells["tp"], scores.ones),
        "specificity": (cells["tn"], scores.zeros),
        "f1": (2 * cells["tp"], 2 * cells["tp"] + cells["fp"] + cells["fn"]),
    }
    found = {name: hits / rows for name, (hits, rows) in shares.items() if rows > 0}
    if "recall" in found and "specificity" in found:
        found["balanced_accuracy"] = (found["recall"] + found["specificity"]) / 2
    return found


def bounds(form: BinaryForm, sums: Sums, parties: int, unit: int) -> dict[str, float]:
    """Return by how much the exact figure of the rows may differ, noise apart.

    Args:
        form: of the sums.
        sums: read.
        parties: whose sums were added up: each rounded once, or each row of a private form.
        unit: steps of a row that adds 1.
    """
    if sums.rows < 0.5:
        return {}
    scores = Scores(form, sums)
    steps = 0.5 if form.private else parties / 2 / sums.rows
    found = {name: form.factors[name] / unit * steps for name in ("loss", "brier")}
    if form.private:  # a probability is known to lie in its cell
        edges = np.concatenate([[0.0], probability(form.grid.edges), [1.0]])
        wide = float((scores.every * np.diff(edges)).sum()) / max(scores.ones + scores.zeros, 1.0)
        found |= {"predicted_rate": wide, "calibration_error": wide}
    else:  # a rounded sum of each cell with rows
        filled = int(np.count_nonzero(scores.every))
        found |= dict.fromkeys(("predicted_rate", "calibration_error"), steps * filled / unit)
    if scores.ones > 0 and scores.zeros > 0:
        one, zero = scores.positives / scores.ones, scores.negatives / scores.zeros
        found["auc"] = float((one * zero).sum()) / 2
        found["gini"] = 2 * found["auc"]
        before = np.cumsum(zero - one) - (zero - one)
        most = float(np.maximum(before + zero, one - before).max())
        found["ks"] = max(0.0, most - intervals.distance(scores.positives, scores.negatives))
    return found


def chance(form: BinaryForm, sums: Sums) -> dict[str, Interval]:
    """Return 95 % intervals of what chance in the rows does to the figures."""
    if sums.rows < 0.5:
        return {}
    scores = Scores(form, sums)
    every = scores.ones + scores.zeros
    if every <= 0:
        return {}
    cells = _matrix(scores, scores.half)
    found = {"rate": wilson(scores.ones, every)}
    found["accuracy"] = wilson(cells["tp"] + cells["tn"], every)
    for name, rows in (
        ("precision", cells["tp"] + cells["fp"]), ("recall", scores.ones),
    ):  # fmt: skip
        if rows > 0:
            found[name] = wilson(cells["tp"], rows)
    if (involved := cells["tp"] + cells["fp"] + cells["fn"]) > 0:
        low, high = wilson(cells["tp"], involved)  # F1 grows with this share alone
        found["f1"] = 2 * low / (1 + low), 2 * high / (1 + high)
    found |= _losses(scores)
    if scores.zeros > 0:
        found["specificity"] = wilson(cells["tn"], scores.zeros)
    if scores.ones > 0 and scores.zeros > 0:
        shares = [(cells["tp"], scores.ones), (cells["tn"], scores.zeros)]
        found["balanced_accuracy"] = intervals.mean_of_shares(shares)
        low, high = found["auc"] = intervals.auc(scores.positives, scores.negatives)
        found["gini"] = 2 * low - 1, 2 * high - 1
        found["ks"] = intervals.ks(scores.positives, scores.negatives)
    return found


def _losses(scores: Scores) -> dict[str, Interval]:
    """Return the intervals of log loss and Brier score; noised sums have them by cell."""
    sums, rows = scores.sums, scores.sums.rows
    if not scores.form.private:
        return {
            name: intervals.mean(sums.numbers[name], sums.numbers[squares], rows)
            for name, squares in _SQUARES.items()
        }
    odds = scores.form.grid.middles
    shares = probability(odds)
    by_class = {
        "loss": (np.logaddexp(0.0, -odds), np.logaddexp(0.0, odds)),
        "brier": ((1 - shares) ** 2, shares**2),
    }
    found = {}
    for name, both in by_class.items():
        most = scores.form.factors[name]
        one, zero = (np.minimum(each, most) for each in both)
        every = scores.ones + scores.zeros
        middle = float((scores.positives * one + scores.negatives * zero).sum()) / every
        squares = float((scores.positives * one**2 + scores.negatives * zero**2).sum()) / every
        half = intervals.Z * (max(squares - middle**2, 0.0) / every) ** 0.5
        value = min(max(sums.numbers[name] / rows, 0.0), most)
        found[name] = max(0.0, value - half), value + half
    return found


def curves(form: BinaryForm, sums: Sums) -> dict[str, JSON]:
    """Return what pictures show: `roc`, `ks`, `gains`, `lift`, `calibration`, `matrix`."""
    if sums.rows < 0.5:
        return {}
    scores = Scores(form, sums)
    if scores.ones + scores.zeros <= 0:
        return {}
    cells = _matrix(scores, scores.half)
    matrix = [[cells["tn"], cells["fp"]], [cells["fn"], cells["tp"]]]
    found: dict[str, JSON] = {
        "calibration": _calibration(scores),
        "matrix": {
            "classes": ["negative", "positive"], "threshold": 0.5,
            "rows": [[round(one) for one in line] for line in matrix],
        },
    }  # fmt: skip
    if scores.ones > 0 and scores.zeros > 0:
        found |= {"roc": roc(scores.positives, scores.negatives), "ks": _ks_curve(scores)}
        found |= {"gains": _gains(scores), "lift": _lift(scores)}
    return found


def thresholds(form: BinaryForm, sums: Sums, costs: Costs | None) -> list[dict[str, JSON]]:
    """Return a table of thresholds, from the least rows that are predicted positive to the most.

    Args:
        form: of the sums.
        sums: read.
        costs: if given, each line has its `cost`, and one is the cheapest of all.
    """
    if sums.rows < 0.5:
        return []
    scores = Scores(form, sums)
    true, false = scores.above
    every = scores.ones + scores.zeros
    if every <= 0:
        return []
    flagged = (true + false) / every
    marks: dict[int, list[str]] = {scores.half: ["default"]}
    if scores.ones > 0 and scores.zeros > 0:
        marks.setdefault(scores.ks_at(), []).append("ks")
    if scores.ones > 0:
        marks.setdefault(int((2 * true / (true + false + scores.ones)).argmax()), []).append("f1")
    if costs is not None:
        paid = costs.false_positive * false + costs.false_negative * (scores.ones - true)
        marks.setdefault(int(paid.argmin()), []).append("cheapest")
    wanted = {int(np.abs(flagged - depth).argmin()) for depth in DEPTHS} | marks.keys()
    return [_line(scores, at, marks.get(at, []), costs) for at in sorted(wanted, reverse=True)]


def _line(scores: Scores, at: int, marks: list[str], costs: Costs | None) -> dict[str, JSON]:
    cells = _matrix(scores, at)
    line: dict[str, JSON] = {
        "threshold": scores.threshold(at),
        "log_odds": scores.log_odds(at),
        "flagged": (cells["tp"] + cells["fp"]) / (scores.ones + scores.zeros),
        **{name: round(count) for name, count in cells.items()},
        **at_threshold(scores, at),
        "marks": marks,
    }
    if costs is not None:
        line["cost"] = costs.false_positive * cells["fp"] + costs.false_negative * cells["fn"]
    return line


def _above(counts: Floats) -> Floats:
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0.0]])


def _matrix(scores: Scores, at: int) -> dict[str, float]:
    true, false = (float(one[at]) for one in scores.above)
    return {"tp": true, "fp": false, "fn": scores.ones - true, "tn": scores.zeros - false}


def roc(positives: Floats, negatives: Floats) -> list[list[float]]:
    """Return the ROC curve: (share of negatives, share of positives) above falling thresholds."""
    true = _above(positives)[::-1] / positives.sum()
    false = _above(negatives)[::-1] / negatives.sum()
    return thinned(false, true)


def thinned(across: Floats, up: Floats) -> list[list[float]]:
    """Return about evenly spaced points of a curve that only rises, its first and its last."""
    length = np.cumsum(np.abs(np.diff(across, prepend=0.0)) + np.abs(np.diff(up, prepend=0.0)))
    place = np.floor(length / max(float(length[-1]), 1e-12) * _POINTS)
    kept = np.flatnonzero(np.diff(place, prepend=-1.0) > 0)
    chosen = sorted({0, *(int(one) for one in kept), len(across) - 1})
    return [[_short(across[one]), _short(up[one])] for one in chosen]


def _ks_curve(scores: Scores) -> dict[str, JSON]:
    """Return cumulative shares by threshold: (log-odds, positives, negatives up to it)."""
    true, false = (1 - one / one[0] for one in scores.above)
    last = scores.form.grid.count
    filled = np.flatnonzero(scores.every)
    first, end = int(filled[0]), int(filled[-1]) + 1
    at, step = scores.ks_at(), max(1, (end - first) // _POINTS)
    shown = sorted({first, end, at, *range(first, end, step)} - {0, last})
    points = [
        [_short(scores.log_odds(one)), _short(true[one]), _short(false[one])] for one in shown
    ]
    return {"points": points, "log_odds": scores.log_odds(at),
            "positives": _short(true[at]), "negatives": _short(false[at])}  # fmt: skip


def _gains(scores: Scores) -> list[list[float]]:
    """Return the share of all positives among the rows with the highest scores, by their share."""
    true, false = (one[::-1] for one in scores.above)
    return thinned((true + false) / (scores.ones + scores.zeros), true / scores.ones)


def _lift(scores: Scores) -> list[dict[str, JSON]]:
    """Return captured positives by tenths of rows; a cell that one divides is spread evenly."""
    true, false = (one[::-1] for one in scores.above)
    depth = (true + false) / (scores.ones + scores.zeros)
    rows = scores.ones + scores.zeros
    found: list[dict[str, JSON]] = []
    before = 0.0
    for tenth in range(1, GROUPS + 1):
        share = tenth / GROUPS
        capture = float(np.interp(share, depth, true / scores.ones))
        found.append(
            {"depth": share, "rows": round(rows / GROUPS), "capture": capture,
             "lift": capture / share, "group_lift": (capture - before) * GROUPS}
        )  # fmt: skip
        before = capture
    return found


def _calibration(scores: Scores) -> list[dict[str, JSON]]:
    """Return groups of about equally many rows: predicted mean, observed rate and its interval."""
    found: list[dict[str, JSON]] = []
    for group in intervals.equal_groups(scores.every, GROUPS):
        rows, ones = float(scores.every[group].sum()), float(scores.positives[group].sum())
        low, high = wilson(ones, rows)
        predicted = min(max(float(scores.predicted[group].sum()) / rows, 0.0), 1.0)
        found.append(
            {"rows": round(rows), "predicted": predicted, "observed": ones / rows,
             "low": low, "high": high}
        )  # fmt: skip
    return found


def _short(value: Any) -> float:
    return round(float(value), 5)
