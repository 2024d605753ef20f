"""The report of an ended job: its JSON, and tables of it.

report = client.jobs.report(job)
report["metrics"]                # as the JSON has it
report.rounds.to_pandas()        # a row for each round
report.answers.to_arrow()        # of statistics: a row for each number, unrounded
report.evaluation, report.points # of an evaluation each model's figures, of a sweep its points
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.figures import answer_figures, metric_figures, section_rows
from secureflow.kit.reading import finite, members, objects
from secureflow.kit.text import Text
from secureflow.sdk import display
from secureflow.sdk.tables import Table

_FACTS: Final = ("job", "kind", "state", "purpose", "protection", "tee", "rounds", "kept_round",
                 "spec_digest", "started", "finished")  # fmt: skip
_ANSWER: Final = ("query", "measure", "group", "cell", "quantile", "value", "exact", "low", "high",
                  "standard_error", "reason")  # fmt: skip
_BESIDE: Final = ("epsilon", "survivors", "seconds")
"""Figures of a round that are shown behind those of its model."""
NOISED: Final = "± covers the value without noise 95 times in 100; the row count has noise too."
_NOISED_ANSWERS: Final = (
    "Every value has noise; low and high enclose the value without noise 95 times in 100."
)
OF_ITS_START: Final = "The figures of a round are of the model that it starts from."


class Report(dict[str, Any]):
    """A report as the server sent it; JSON, with tables."""

    @property
    def rounds(self) -> Table:
        """A row for each round of a training: `round`, its figures, `epsilon`, `seconds`."""
        return rounds_table(self.get("history"))

    @property
    def answers(self) -> Table:
        """A row for each number of a statistic: `query`, `measure`, its place, value, interval."""
        rows, told = [], []
        for answer in objects(self.get("answers")):
            asked = {"query": answer.get("name"), "measure": answer.get("measure")}
            for row in objects(answer.get("rows")):
                rows.append({**asked, **row})
                told.append({**asked, **answer_figures(row, str(answer.get("measure")))})
        names = tuple(name for name in _ANSWER if any(row.get(name) is not None for row in rows))
        noised = any(row.get("standard_error") is not None for row in rows)
        note = _NOISED_ANSWERS if noised else ""
        return Table(tuple(rows), names, "answers", told=tuple(told), note=note)

    @property
    def evaluation(self) -> Table:
        """Of an evaluation a row for each model and each of its parties: their figures.

        `name` is what the centre calls it, `model` the digest of its parameters, `party` empty for
        all rows together.
        """
        rows: list[dict[str, Any]] = []
        for one in objects(members(self.get("evaluation")).get("models")):
            known = {name: one.get(name) or None for name in ("job", "name", "model")}
            named = {**known, "party": ""}
            rows.append({**named, **numbers_in(one.get("figures"))})
            for party, figures in members(one.get("parties")).items():
                rows.append({**named, "party": str(party), **numbers_in(figures)})
        return Table(tuple(rows), _columns(rows), "evaluation")

    @property
    def points(self) -> Table:
        """Of a sweep a row for each point: what it sets, its figures, its job and its model."""
        rows: list[dict[str, Any]] = []
        for one in objects(self.get("points")):
            row = {"point": one.get("point"), **members(one.get("sets"))}
            row |= numbers_in(one.get("metrics"))
            row |= {name: one.get(name) for name in ("rounds", "epsilon", "state", "job")}
            row["model"] = members(one.get("model")).get("id")
            rows.append(row)
        return Table(tuple(rows), _columns(rows), "points", note=_best(members(self.get("best"))))

    @property
    def metrics(self) -> Table:
        """A row for each metric of the model: `metric`, `value`, and the noise's standard error."""
        return metrics_table(self)

    def to_pandas(self) -> Any:
        """Return answers, figures of an evaluation, a sweep's points, else the rounds, as a frame.

        Raises:
            SecureFlowError: `missing_extra` without pandas.
        """
        return self._main.to_pandas()

    def to_arrow(self) -> Any:
        """Return the same as a `pyarrow.Table`."""
        return self._main.to_arrow()

    @property
    def _main(self) -> Table:
        tables = (self.answers, self.evaluation, self.points)
        return next((one for one in tables if len(one)), self.rounds)

    def _repr_html_(self) -> str:
        """Return the report for a notebook: facts, metrics, rounds, answers, own sections."""
        told = {name: self.get(name) for name in _FACTS}
        told["tee"] = told["tee"] or None
        told["contributors"] = _contributors(self.get("contributions"))
        if privacy := self.get("privacy"):
            told["privacy"] = privacy_line(privacy)
        if model := members(self.get("model")):
            told["model"] = "\n".join(str(model[n]) for n in ("id", "digest") if model.get(n))
        parts = [display.facts(str(self.get("name") or ""), told)]
        own = (self.answers, self.evaluation, self.points)
        tables = (self.metrics, self.rounds, *own, *self._sections())
        return "".join([*parts, *(table._repr_html_() for table in tables if len(table))])

    def _sections(self) -> list[Table]:
        """Return the sections of a job's own kind, as far as they have the expected shape."""
        return [
            Table(section_rows(one), ("label", "value"), str(one.get("title") or ""))
            for one in objects(self.get("sections"))
        ]


def rounds_table(history: Any) -> Table:
    """Return a row for each round: `round`, its figures, `epsilon`, `seconds`."""
    rows = objects(history)
    names = dict.fromkeys(name for row in rows for name in row)
    last = [name for name in _BESIDE if name in names]
    first = [name for name in names if name not in last]
    return Table(rows, (*first, *last), "rounds", note=OF_ITS_START if rows else "")


def metrics_table(report: Mapping[str, Any]) -> Table:
    """Return the metrics of a report or a card: as numbers, and told with their noise."""
    metrics, errors = numbers_in(report.get("metrics")), numbers_in(report.get("metrics_errors"))
    rows = tuple(
        {"metric": name, "value": value, "standard_error": errors.get(name)}
        for name, value in metrics.items()
    )
    figures = metric_figures({
        "metrics": metrics, "metrics_errors": errors, "privacy": members(report.get("privacy")),
    })  # fmt: skip
    told = tuple(
        {
            "metric": display.word(one.name),
            "value": one.text,
            "standard_error": errors.get(one.name),
        }
        for one in figures
    )
    names = ("metric", "value", *(("standard_error",) if errors else ()))
    noised = any(one.noised for one in figures)
    return Table(rows, names, told=told, note=NOISED if noised else "")


def numbers_in(value: Any) -> dict[str, float]:
    """Return the members of a JSON object that are finite numbers; a server may send anything."""
    return {str(name): one for name, one in members(value).items() if finite(one)}


def privacy_line(privacy: Any) -> str:
    """Return what a job cost under differential privacy, or that it has none, for people."""
    if not isinstance(privacy, Mapping) or not privacy:
        return display.word("no differential privacy")
    numbers = {"epsilon": 0.0, "delta": 0.0} | numbers_in(privacy)
    return display.word(
        Text(
            "ε = {epsilon:g}, δ = {delta:g} for each {unit}; mechanism {mechanism}, noise {noise}",
            epsilon=numbers["epsilon"],
            delta=numbers["delta"],
            unit=display.word(str(privacy.get("unit") or "?")),
            mechanism=str(privacy.get("mechanism") or "?"),
            noise=display.word(str(privacy.get("noise") or "?")),
        )
    )


def _contributors(contributions: Any) -> str:
    told = []
    for party, one in members(contributions).items():
        facts = members(one)
        rounds, rows = facts.get("rounds"), facts.get("rows")
        line = Text("{party}: {rounds} {rounds:round|rounds}", party=party, rounds=rounds or 0)
        more = "" if rows is None else Text(", {rows} {rows:row|rows}", rows=rows)
        told.append(display.word(line) + (display.word(more) if more else ""))
    return "\n".join(told)


def _best(best: Mapping[str, Any]) -> str:
    """Say which point is the best, and how many are as good."""
    if (point := best.get("point")) is None:
        return ""
    if (tied := best.get("tied")) is None:
        return Text("the best is point {point}", point=str(point))
    return Text(
        "the best is point {point}, the first of {count} that are equally good",
        point=str(point),
        count=str(tied),
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names under which any row has a value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return tuple(name for name in names if any(row.get(name) is not None for row in rows))
