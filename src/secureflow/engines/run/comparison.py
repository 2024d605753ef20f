"""Models side by side: a line for each figure, a cell for each model, from one or more evaluations.

Cells are texts, formatted here once, so that everybody who shows or verifies a comparison has the
same characters. `compared` returns JSON:

| member      | what it holds                                                                 |
|-------------|-------------------------------------------------------------------------------|
| `title`     | what a heading says                                                           |
| `same_rows` | whether all models were measured on the same rows of the same parties         |
| `models`    | of each `name`, `model` (digest), `job`, `step` ("" outside of pipelines) and |
|             | `rows_of`: the parties whose rows it was measured on                          |
| `lines`     | of each figure `metric`, `better` (`higher`, `lower` or ""), and `cells`, one |
|             | of each model: `value`, `interval`, `noise` (texts, "" where there is none),  |
|             | `best`                                                                        |
| `rows`      | sentences, as lines of a section: on whose rows, what the signs mean          |

Of these `same_rows`, `models` and `lines` are the same in every language: their digest is in the
record of the job (`engines.ledger.reported`).

The best is marked only where all were measured on the same rows, and where one direction is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.figures import HALF_WIDTH
from secureflow.domain.metricnames import COUNTED, HIGHER, LOWER
from secureflow.domain.specs.base import dump
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.text import Text, with_texts

TITLE: Final = "Models compared"
MEASURED: Final = (
    *("name", "model", "job", "form", "figures", "intervals", "noise", "contributors", "seen"),
)
"""The members of a model's part of an evaluation that a comparison is made of."""
_EXACT: Final = "rows"


@dataclass(frozen=True)
class Measured:
    """What one evaluation found.

    Args:
        spec: the evaluation's.
        models: what it found of each model (`MEASURED`), in the order of the spec.
        step: its id in a pipeline; "" for a job of its own.
    """

    spec: Any
    models: Sequence[Mapping[str, Any]]
    step: str = ""


def measured_in(evaluation: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """Return of an evaluation what a comparison is made of: no curves, thresholds or sentences."""
    return [{name: one[name] for name in MEASURED if name in one} for one in evaluation["models"]]


def compared(evaluations: Sequence[Measured]) -> dict[str, JSON] | None:
    """Return the comparison of all models of some evaluations; None of fewer than two.

    Args:
        evaluations: of one job.
    """
    found = [(one, model) for one in evaluations for model in one.models]
    if len(found) < 2:
        return None
    models = [model for _, model in found]
    differ = list(_differences(found))
    return {
        "title": TITLE,
        "same_rows": not differ,
        "models": [_named(one, model) for one, model in found],
        "lines": [_line(name, models, fair=not differ) for name in _figures(models)],
        "rows": [
            with_texts({"label": f"{number}.", "value": line})
            for number, line in enumerate((*_rows_told(found, differ), *_reading(models)), 1)
        ],
    }


def _named(one: Measured, model: Mapping[str, Any]) -> dict[str, JSON]:
    known = {name: str(model.get(name) or "") for name in ("name", "model", "job")}
    return {**known, "step": one.step, "rows_of": list(model["contributors"])}


def _figures(models: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for one in models for name in one["figures"]))


def _line(name: str, models: Sequence[Mapping[str, Any]], *, fair: bool) -> dict[str, JSON]:
    better = "higher" if name in HIGHER else "lower" if name in LOWER else ""
    cells = [_cell(name, one) for one in models]
    values = [one["figures"][name] for one in models if name in one["figures"]]
    if fair and better and len(values) > 1:
        best = _shown(name, max(values) if better == "higher" else min(values))
        cells = [{**one, "best": one["value"] == best} for one in cells]
    return {"metric": name, "better": better, "cells": list(cells)}


def _cell(name: str, model: Mapping[str, Any]) -> dict[str, JSON]:
    if name not in model["figures"]:
        return {"value": "", "interval": "", "noise": "", "best": False}
    interval, noise = model["intervals"].get(name), model["noise"].get(name)
    return {
        "value": _shown(name, model["figures"][name]),
        "interval": "" if interval is None else " – ".join(_shown(name, one) for one in interval),
        "noise": f"± {_shown(name, HALF_WIDTH * noise)}" if noise else "",
        "best": False,
    }


def _shown(name: str, value: float) -> str:
    return f"{round(value):,}" if name in COUNTED else shortened(value)


def _differences(found: Sequence[tuple[Measured, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield in what models differ that were not measured on the same rows."""
    specs = [one.spec for one, _ in found]
    if len({digest(sorted(model["contributors"])) for _, model in found}) > 1:
        yield "parties"
    if len({digest(_chosen(one)) for one in specs}) > 1:
        yield "rows"
    labels = {digest(dump(one.models[0].features.label)) for one in specs}
    if len(labels) > 1 or len({model.get("form") for _, model in found}) > 1:
        yield "target"
    if not any(model["noise"] for _, model in found):
        counts = {round(model["figures"].get(_EXACT, 0)) for _, model in found}
        if len(counts) > 1:
            yield "count"


def _chosen(spec: Any) -> JSON:
    """Return what says which rows of a party an evaluation takes."""
    held_out = None if spec.held_out is None else dump(spec.held_out)
    rows = None if spec.rows is None else dump(spec.rows)
    most = None if spec.privacy is None else spec.contributions
    data = [[one.party, one.dataset] for one in spec.roster]
    return [held_out, rows, most, data]


_WHY: Final[Mapping[str, str]] = {
    "parties": "Not the same rows: some models were measured without the rows of a party.",
    "rows": "Not the same rows: the evaluations choose different rows.",
    "target": "Not the same target: the evaluations predict different things.",
    "count": "Not the same rows: the numbers of rows differ.",
}


def _rows_told(
    found: Sequence[tuple[Measured, Mapping[str, Any]]], differ: Sequence[str]
) -> Iterator[str]:
    if differ:
        yield from (_WHY[one] for one in differ)
        yield "No model is marked as the best: their figures are of different rows or targets."
        return
    parties = ", ".join(found[0][1]["contributors"])
    held_out = found[0][0].spec.held_out is not None
    matched = found[0][0].spec.rows is not None
    if matched:
        yield Text("All models were measured on the same rows: those of {parties} that match.",
                   parties=parties)  # fmt: skip
    elif held_out:
        yield Text("All models were measured on the same rows: those of {parties} that were held "
                   "out.", parties=parties)  # fmt: skip
    else:
        yield Text("All models were measured on the same rows: all of {parties}.", parties=parties)


def _reading(models: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in models:
        if seen := one.get("seen"):
            yield Text("{model} may have learned from rows of {parties} that are measured here: "
                       "its figures are then better than on new rows.",
                       model=called(one), parties=", ".join(seen))  # fmt: skip
    noised = any(one["noise"] for one in models)
    if any(one["intervals"] for one in models):
        yield (
            "Intervals hold the figure 95 times in 100: chance in the rows, and noise. Where two "
            "of them overlap, the difference may be chance."
            if noised
            else "Intervals hold the figure 95 times in 100: chance in the rows. Where two of them "
            "overlap, the difference may be chance."
        )
    if noised:
        yield "± is what differential privacy adds to a figure, 95 times in 100."


def called(one: Mapping[str, Any]) -> str:
    """Return what a model is called: its name and its digest, else its job.

    Args:
        one: a model's part of the report (`figures`), from any version and anybody.
    """
    known = str(one.get("model") or one.get("job") or "")
    return f"{name} ({known})" if (name := str(one.get("name") or "")) else known


def shortened(value: float) -> str:
    """Return a number to four decimals, or to four digits where that would tell less or more."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 10 or value == 0 else f"{value:.4g}"
