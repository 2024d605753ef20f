"""A job's report as one self-contained page: no script, no network, both languages inside.

The language switch is a pair of radio buttons and CSS, so the page works under a content security
policy that forbids scripts, and always offline. Everything that comes from the report is
escaped by the template engine.

`anchored` of a report is what members anchored (`reports.anchored`): whoever renders it adds it.
The page has the parts that training and statistics fill. Another kind of job puts its own
`sections` in its report, each a `title` and `rows` of `label` and `value`: a number, a text, or a
list of these. Titles, labels and texts are shown in both languages if the catalogue has them.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    Template,
)
from markupsafe import Markup, escape

from secureflow.application.reports.charts import Chart, chart
from secureflow.application.reports.curves import (
    columns,
    curves,
    last_metrics,
    last_row,
    model_points,
)
from secureflow.application.reports.pictures import evaluation
from secureflow.application.reports.pictures.comparison import comparison
from secureflow.application.reports.points import points_view
from secureflow.application.reports.wording import both
from secureflow.domain.figures import (
    answer_figures,
    answer_place,
    figure,
    metric_figures,
    section_rows,
)
from secureflow.domain.metricnames import in_words
from secureflow.domain.specs.protections import Traits, stored_traits
from secureflow.kit.plain import shown
from secureflow.kit.reading import listed, objects
from secureflow.kit.text import Text, foreign, text_in
from secureflow.texts import chosen_name


def render(report: Mapping[str, Any], lang: Literal["en", "zh"] = "en") -> str:
    """Return the HTML page of a report (the JSON of `engines.run.ending`).

    Args:
        report: of any version and kind.
        lang: the language shown first; the page can switch.
    """
    return _template().render(**contents(report, lang))


def contents(report: Mapping[str, Any], lang: Literal["en", "zh"] = "en") -> dict[str, Any]:
    """Return the variables of the page's template, or of one that extends it."""
    report = _visible(report)
    history = report.get("history") or []
    return {
        "report": report,
        "metrics": metric_figures(report),
        "lang": lang,
        "protection": _traits(report),
        "protections": _protections(report),
        "side_by_side": comparison(report.get("comparison")),
        "after_headline": 1 if report.get("kind") == "pipeline" else 0,
        "sections": _sections(report.get("sections")),
        "evaluation": evaluation.pictures(report.get("evaluation")),
        "points": points_view(report),
        "anchored": objects(report.get("anchored")),
        "simulated": "SIMULATED" in str(report.get("tee", "")).upper(),
        "charts": _charts(history, last_metrics(report)),
        "columns": columns(history),
        "last_row": last_row(report, columns(history)),
    }


def environment(*loaders: BaseLoader) -> Environment:
    """Return the template engine of the page; further loaders hold templates that extend it."""
    made = Environment(
        loader=ChoiceLoader([*loaders, PackageLoader("secureflow.application.reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"both": both, "moment": moment, "figure": figure, "place": answer_place}
    made.filters["told"] = text_in
    made.filters["metric"] = in_words
    made.filters["number"] = number_of
    made.filters["value"] = value_of
    made.filters["answer"] = answer_figures
    return made


def _visible(value: Any) -> Any:
    """Escape characters that reorder or hide text: the template engine escapes only markup."""
    if isinstance(value, str):
        if isinstance(value, Text):
            return foreign(value, value.as_json())
        return shown(value, several=True)
    if isinstance(value, Mapping):
        return {_visible(name): _visible(one) for name, one in value.items()}
    return [_visible(one) for one in value] if isinstance(value, list | tuple) else value


def value_of(row: Mapping[str, Any]) -> Markup:
    """Format the value of a section's row, escaped; texts in both languages."""
    value = row.get("value")
    if isinstance(value, str):
        return both(text_in(row, "value"))
    return Markup(", ").join(map(_one, value if isinstance(value, list) else [value]))


def number_of(row: Mapping[str, Any]) -> Markup:
    """Say which number is released, escaped; the name of a query stays as it was chosen."""
    number = row.get("number", "")
    return escape(number) if chosen_name(row) else both(number)


def _one(value: Any) -> Markup:
    if isinstance(value, bool):
        return both("yes" if value else "no")
    if isinstance(value, Mapping | list):
        return escape(json.dumps(value, ensure_ascii=False))
    return both(figure(value))


def moment(seconds: Any) -> str:
    """Format unix seconds as UTC; empty if there are none."""
    if not isinstance(seconds, int | float) or not seconds:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


@functools.cache
def _template() -> Template:
    return environment().get_template("report.html.jinja")


def _traits(report: Mapping[str, Any]) -> Traits:
    """Return the properties of what protected contributions: the first protection of several."""
    named = [str(one) for one in listed(report.get("protections")) if one != "none"]
    return stored_traits({"protection": named[0]} if named else report)


def _protections(report: Mapping[str, Any]) -> Markup:
    """Say how contributions were protected; of a job that starts others, of all of these."""
    named = [str(one) for one in listed(report.get("protections")) if one != "none"]
    return Markup(", ").join(map(both, named or [str(report.get("protection") or "")]))


def _sections(value: Any) -> list[dict[str, Any]]:
    """Return the sections of a job's own kind, as far as they have the expected shape."""
    return [{"told": one, "rows": section_rows(one)} for one in objects(value)]


def _charts(history: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> list[Chart]:
    drawn = ((name, model_points(name, history, last)) for name in curves(history))
    return [chart(name, points) for name, points in drawn if len(points) > 1]
