"""The pictures of `report["evaluation"]` (`engines.evaluation.figures`): a part of each model.

ROC, KS, gains and lift, calibration, confusion matrix and thresholds of scores; residuals of
numbers; a table of models by parties; the shift of scores. Each function takes JSON and returns
markup, empty where there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from secureflow.application.reports.pictures import plots, tables
from secureflow.application.reports.pictures.drawing import SERIES
from secureflow.application.reports.wording import both
from secureflow.domain.figures import figure
from secureflow.kit.reading import listed, members, numbers, points
from secureflow.kit.text import Text

MAX_MODELS: Final = 64
"""Most models of which pictures are shown."""


def pictures(evaluation: Any) -> Markup:
    """Return the sections of an evaluation; empty for a report without one.

    Args:
        evaluation: JSON, of any shape.
    """
    whole = members(evaluation)
    models = [one for one in listed(whole.get("models")) if isinstance(one, Mapping)][:MAX_MODELS]
    parts = [tables.sites(models), _together(models)]
    parts += [_model(one, at) for at, one in enumerate(models)]
    return Markup("").join(parts)


def name_of(model: Mapping[str, Any]) -> str:
    """Return what a model is called in a legend: its name, else its digest or its job."""
    return str(model.get("name") or model.get("model") or model.get("job") or "")


def _titled(model: Mapping[str, Any]) -> str:
    """Return what a model is called in a title: its digest as well."""
    name, known = name_of(model), str(model.get("model") or "")
    return f"{name} ({known})" if known and known != name else name


def _together(models: list[Mapping[str, Any]]) -> Markup:
    """Return the ROC curves of several models on the same axes."""
    drawn: dict[str, list[tuple[float, ...]]] = {}
    for one in models:
        curve = points(members(one.get("curves")).get("roc"), 2)
        if curve and len(drawn) < SERIES:
            drawn[name_of(one)] = curve
    if len(drawn) < 2:
        return Markup()
    charts = Markup('<div class="charts">{}</div>').format(plots.roc(drawn, "roc-all"))
    return _section("All models", charts)


def _model(model: Mapping[str, Any], at: int) -> Markup:
    """Return the section of one model."""
    told, found = members(model.get("curves")), numbers(model.get("figures"))
    key = f"m{at}"
    charts = [
        _roc(told.get("roc"), found, key),
        plots.ks(told.get("ks"), found.get("ks"), f"{key}-ks"),
        plots.gains(told.get("gains"), f"{key}-gains"),
        plots.lift(told.get("lift"), f"{key}-lift"),
        plots.calibration(
            told.get("calibration"), found.get("calibration_error"), f"{key}-calibration"
        ),
        plots.residuals(told.get("residuals"), f"{key}-residuals"),
        plots.predictions(told.get("predictions"), f"{key}-predictions"),
        plots.shift(model.get("psi"), f"{key}-shift"),
    ]
    inside = [
        Markup('<div class="charts">{}</div>').format(Markup("").join(charts))
        if any(charts)
        else Markup(),
        tables.matrix(told.get("matrix")),
        tables.classes(told.get("classes")),
        tables.thresholds(model.get("thresholds"), model.get("costs")),
    ]
    title = Text("Evaluation of {model}: pictures", model=_titled(model))
    return _section(title, Markup("").join(inside)) if any(inside) else Markup()


def _roc(value: Any, found: Mapping[str, float], key: str) -> Markup:
    """Return the ROC curve: of two classes, or of each class against the others."""
    one = points(value, 2)
    if one:
        return plots.roc({"": one}, f"{key}-roc", figure(found.get("auc")))
    each = {
        str(line.get("class", "")): points(line.get("points"), 2)
        for line in listed(value)
        if isinstance(line, Mapping)
    }
    drawn = {name: curve for name, curve in list(each.items())[:SERIES] if curve}
    return plots.roc(drawn, f"{key}-roc", figure(found.get("auc")))


def _section(title: str, inside: Markup) -> Markup:
    return Markup("<section><h2>{}</h2>{}</section>\n").format(both(title), inside)
