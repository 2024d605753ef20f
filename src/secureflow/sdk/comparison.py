"""Models side by side: what they are, what they cost, how they score, and if that is comparable.

Figures of two models compare where both were measured on the same rows: by one job, or by jobs of
the same owners, datasets and label whose plans choose the same rows for validation: alike in
`validation`, `seed`, `order` and `draws` (which rows a party measures on follows from these and
from its own secret, `engines.preparation.split`), both with differential privacy or both without,
and with it of the same features, for there a row's content decides; or in `split`, by which keys
decide. Otherwise a difference may come from the rows, so that none is marked as the better one. Nor
is one that noise alone may explain. An evaluation measures several models on the same rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.figures import HALF_WIDTH
from secureflow.domain.specs import measured
from secureflow.kit.text import Joined, Text
from secureflow.sdk import display
from secureflow.sdk.measuring import Measured
from secureflow.sdk.modelcards import Card
from secureflow.sdk.tables import Table

HIGHER: Final = measured.HIGHER | {
    "ks", "gini", "f1", "weighted_f1", "precision", "recall", "specificity", "lift"
}  # fmt: skip
"""Metrics of which more is better."""
LOWER: Final = (frozenset(measured.METRICS) - measured.HIGHER) | {"brier", "calibration_error"}
"""Metrics of which less is better; of others neither is said."""
_SAME: Final = "The figures are of the same rows: one job measured all of them."
_ALIKE: Final = (
    "The figures are of the same rows, unless an owner published its file anew between the jobs: "
    "owners, datasets, label and what chooses rows for validation are the same."
)
_NEXT: Final = "Evaluate them by one job (secureflow model evaluate) and name it: --evaluation."
_CHANCE: Final = "In brackets: 95 % intervals, for chance in the rows."


@dataclass(frozen=True)
class Comparison:
    """Models side by side.

    Args:
        cards: of the models, in the order in which they were named.
        measured: how each scored, and on which rows.
    """

    cards: tuple[Card, ...]
    measured: tuple[Measured, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """A title for each model: name and version, or its id where two have the same."""
        names = [f"{one.get('name')} v{one.get('version')}" for one in self.cards]
        ids = [str(one.get("id")) for one in self.cards]
        return tuple(names if len(set(names)) == len(names) else ids)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the figures are of other rows; empty if they compare."""
        first = self.measured[0]
        if all(one.job == first.job for one in self.measured):
            same = all(one.owners == first.owners for one in self.measured)
            return () if same else ("not the same parties' rows are in all of them",)
        found = []
        if any(one.owners is None for one in self.measured):
            found.append("a job cannot be seen")
        elif any(one.owners != first.owners for one in self.measured):
            found.append("their owners or datasets differ")
        if any(one.label != first.label for one in self.measured):
            found.append("they learn other labels")
        if any(one.plan != first.plan for one in self.measured):
            found.append("their plans choose other rows for validation")
        if any((one.content is None) != (first.content is None) for one in self.measured):
            found.append("not all of them have differential privacy")
        elif any(one.content != first.content for one in self.measured):
            found.append("their features choose other rows under differential privacy")
        if not found and len({one.rows for one in self.measured} - {None}) > 1:
            found.append("their numbers of rows differ")
        return tuple(found)

    @property
    def comparable(self) -> bool:
        """Whether all were measured on the same rows."""
        return not self.reasons

    @property
    def metrics(self) -> Table:
        """A row for each metric: `metric`, the value of each model, and `better`: whose it is."""
        values = [one.figures for one in self.measured]
        rows, told = [], []
        for metric in dict.fromkeys(name for one in values for name in one):
            each = [one.get(metric) for one in values]
            at = self._better(metric)
            row = {"metric": metric, **dict(zip(self.names, each, strict=True))}
            rows.append({**row, "better": None if at is None else self.names[at]})
            texts = [one.texts.get(metric, "") for one in self.measured]
            if at is not None:
                texts[at] += f" ({display.word('better')})"
            word = display.word(metric)
            told.append({"metric": word, **dict(zip(self.names, texts, strict=True))})
        return Table(tuple(rows), ("metric", *self.names, "better"), "metrics", told=tuple(told))

    @property
    def facts(self) -> Table:
        """A row for each fact: `fact`, and what it is of each model."""
        told = [card.told() for card in self.cards]
        shared = set.intersection(*(set(card.feature_names) for card in self.cards))
        for one, card in zip(told, self.cards, strict=True):
            only = [name for name in card.feature_names if name not in shared]
            one["features"] = len(card.feature_names)
            one["only_here"] = display.listed(only)
            one["created"] = display.moment(one["created"])
        rows = tuple(
            {"fact": name, **{of: one[name] for of, one in zip(self.names, told, strict=True)}}
            for name in told[0]
            if any(one[name] for one in told)
        )
        words = tuple({**row, "fact": display.word(str(row["fact"]))} for row in rows)
        return Table(rows, ("fact", *self.names), told=words)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the figures, for people."""
        if self.reasons:
            told = Text(
                "The figures are of other rows, so that none is marked as better: {reasons}.",
                reasons=Joined("; ", self.reasons),
            )
            return told, _NEXT
        one_job = len({one.job for one in self.measured}) == 1
        found: list[str] = [_SAME if one_job else _ALIKE]
        if any(one.evaluated for one in self.measured):
            found.append(_CHANCE)
        for name, one in zip(self.names, self.measured, strict=True):
            if one.seen:
                found.append(
                    Text(
                        "{model} may have learned from rows of {parties} that measure it.",
                        model=name,
                        parties=display.listed(one.seen),
                    )
                )
        metrics = dict.fromkeys(name for one in self.measured for name in one.figures)
        if hidden := [name for name in metrics if self._within_noise(name)]:
            names = display.listed(map(display.word, hidden))
            found.append(Text("Of {metrics} the difference is within the noise.", metrics=names))
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """Return everything for programs."""
        return {
            "models": [dict(one) for one in self.cards],
            "facts": [dict(row) for row in self.facts],
            "metrics": [dict(row) for row in self.metrics],
            "comparable": self.comparable,
            "notes": [str(one) for one in self.notes],
        }

    def to_pandas(self) -> Any:
        """Return the metrics as a pandas frame; raises `missing_extra` without pandas."""
        return self.metrics.to_pandas()

    def to_arrow(self) -> Any:
        """Return the metrics as a `pyarrow.Table`."""
        return self.metrics.to_arrow()

    def __repr__(self) -> str:
        """Return the tables as text."""
        notes = [display.word(one) for one in self.notes]
        return "\n\n".join([repr(self.facts), repr(self.shown_metrics), *notes])

    def _repr_html_(self) -> str:
        """Return the tables for a notebook."""
        notes = "\n".join(map(display.word, self.notes))
        table = self.shown_metrics
        html = display.table(table.columns, table.told or (), notes)
        return f"{self.facts._repr_html_()}{html}"

    @property
    def shown_metrics(self) -> Table:
        """The metrics as people read them: the better one is marked."""
        whole = self.metrics
        return Table(whole.rows, whole.columns[:-1], whole.title, told=whole.told)

    def _better(self, metric: str) -> int | None:
        """Return whose value of a metric is better; None where that cannot be said."""
        values = [one.figures.get(metric) for one in self.measured]
        known = [one for one in values if one is not None]
        if not self.comparable or metric not in HIGHER | LOWER or len(known) < len(values):
            return None
        best = max(known) if metric in HIGHER else min(known)
        if known.count(best) > 1 or self._within_noise(metric):
            return None
        return known.index(best)

    def _within_noise(self, metric: str) -> bool:
        """Tell whether noise may explain by how much the best value beats the next (19 in 20)."""
        known = [
            (one.figures[metric], one.errors.get(metric, 0.0))
            for one in self.measured
            if metric in one.figures
        ]
        if metric not in HIGHER | LOWER or len(known) < 2:
            return False
        known.sort(reverse=metric in HIGHER)
        (first, error), *others = known
        return any(
            0 <= abs(first - value) <= HALF_WIDTH * math.hypot(error, other)
            for value, other in others
            if error or other
        )
