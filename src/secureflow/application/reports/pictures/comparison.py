"""The table of `report["comparison"]` (`engines.evaluation.comparison`): figures by models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup, escape

from secureflow.application.reports.wording import both
from secureflow.domain.metricnames import in_words
from secureflow.kit.reading import listed, members, objects
from secureflow.kit.text import text_in

MAX_MODELS: Final = 64
"""Most models that are shown beside each other."""
_BETTER: Final[Mapping[str, str]] = {"higher": "higher is better", "lower": "lower is better"}


def comparison(value: Any) -> Markup:
    """Return the section of a comparison; empty for a report without one.

    Args:
        value: JSON, of any shape.
    """
    whole = members(value)
    models = objects(whole.get("models"), MAX_MODELS)
    lines = [line for line in objects(listed(whole.get("lines"))) if line.get("metric")]
    if len(models) < 2 or not lines:
        return Markup()
    head = Markup("").join(Markup('<th class="n">{}</th>').format(_name(one)) for one in models)
    body = Markup("").join(_row(line, len(models)) for line in lines)
    of = Markup("").join(
        Markup('<td class="n"><small>{}</small></td>').format(
            ", ".join(map(str, listed(one.get("rows_of"))))
        )
        for one in models
    )
    notes = Markup("").join(
        Markup("<p>{}</p>").format(both(text_in(row, "value")))
        for row in objects(whole.get("rows"))
    )
    return Markup(
        '<section><h2>{}</h2><div class="scroll"><table class="models"><thead><tr><th>{}</th>{}'
        "</tr></thead><tbody>{}<tr><td>{}</td>{}</tr></tbody></table></div>{}</section>\n"
    ).format(both(text_in(whole, "title")), both("Figure"), head, body, both("Rows of"), of, notes)


def _name(model: Mapping[str, Any]) -> Markup:
    name = str(model.get("name") or model.get("model") or model.get("job") or "")
    step = str(model.get("step") or "")
    return Markup("{}<small>{}</small>").format(name, step) if step else escape(name)


def _row(line: Mapping[str, Any], count: int) -> Markup:
    cells: Sequence[Mapping[str, Any]] = objects(line.get("cells"), count)
    better = _BETTER.get(str(line.get("better")), "")
    told = Markup("<small>{}</small>").format(both(better)) if better else Markup()
    return Markup("<tr><td>{}{}</td>{}</tr>").format(
        both(in_words(str(line["metric"]))), told, Markup("").join(map(_cell, cells))
    )


def _cell(cell: Mapping[str, Any]) -> Markup:
    beside = " ".join(str(cell.get(name) or "") for name in ("interval", "noise")).strip()
    small = Markup("<small>{}</small>").format(beside) if beside else Markup()
    text = str(cell.get("value") or "")
    if cell.get("best") is True:
        return Markup('<td class="n best"><b>{}</b>{}</td>').format(text, small)
    return Markup('<td class="n">{}{}</td>').format(text, small)
