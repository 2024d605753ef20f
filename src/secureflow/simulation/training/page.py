"""The page of one or several simulations: their curves on the same axes, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import PackageLoader

from secureflow.application.reports import page as report_page
from secureflow.application.reports.charts import ChartFrame, Plot, plot, spread
from secureflow.application.reports.curves import model_points
from secureflow.kit.plain import shown
from secureflow.simulation.training.outcome import Outcome
from secureflow.texts import Language

FRAME: Final = ChartFrame(width=760, height=300, left=52, right=190, top=20, bottom=34)
_NO_CURVE: Final = frozenset({"round", "seconds", "survivors", "rows"})
_OF_ROUNDS: Final = frozenset({"epsilon"})
"""What is told of the rounds themselves, and not of the model before each."""
_LABELS: Final = 14.0


def render(outcomes: Sequence[Outcome], lang: Language = "en") -> str:
    """Return the HTML page: self-contained, in both languages, without a script.

    Args:
        outcomes: at least one.
        lang: the language shown first.
    """
    labels = names(outcomes)
    environment = report_page.environment(PackageLoader("secureflow.simulation.training"))
    return environment.get_template("simulation.html.jinja").render(
        **report_page.contents({"name": ", ".join(labels)}, lang),
        outcomes=list(zip(labels, outcomes, strict=True)),
        measures=columns(outcomes),
        keeps=any(one.kept_round is not None for one in outcomes),
        curves=[_curves(name, labels, outcomes) for name in plotted(outcomes)],
        frame=FRAME,
    )


def names(outcomes: Sequence[Outcome]) -> list[str]:
    """Return one name for each outcome, all different."""
    found: list[str] = []
    for number, outcome in enumerate(outcomes, 1):
        name = shown(outcome.label)
        found.append(f"{name} ({number})" if name in found else name)
    return found


def columns(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the metrics that any outcome has, in their order."""
    return list(dict.fromkeys(name for one in outcomes for name in one.metrics))


def plotted(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what has a curve: every number that rounds tell of in at least two."""
    return [
        name
        for name in dict.fromkeys(name for one in outcomes for row in one.history for name in row)
        if name not in _NO_CURVE and any(len(_points(name, one)) > 1 for one in outcomes)
    ]


def _curves(name: str, labels: Sequence[str], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    lines: Mapping[str, list[tuple[float, float]]] = {
        label: points
        for label, one in zip(labels, outcomes, strict=True)
        if len(points := _points(name, one)) > 1
    }
    drawn: Plot = plot(lines, FRAME)
    ends = [curve.last[1] for curve in drawn.curves]
    places = spread(ends, _LABELS, FRAME.top, FRAME.height - FRAME.bottom)
    listed = [
        {"curve": curve, "y": place, "colour": list(labels).index(curve.name) % 6}
        for curve, place in zip(drawn.curves, places, strict=True)
    ]
    return {"name": name, "plot": drawn, "lines": listed}


def _points(name: str, outcome: Outcome) -> list[tuple[float, float]]:
    if name in _OF_ROUNDS:
        return [(float(row["round"]), float(row[name])) for row in outcome.history if name in row]
    return model_points(name, outcome.history, outcome.last_metrics)
