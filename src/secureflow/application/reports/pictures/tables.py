"""The tables of an evaluation: confusion matrix, classes, thresholds, models by parties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from secureflow.application.reports.wording import both
from secureflow.domain.figures import figure
from secureflow.kit.reading import (
    lines,
    listed,
    members,
    number,
    numbers,
    points,
)

MAX_CLASSES: Final = 64
"""Most classes of a confusion matrix that is shown."""
_HEAT: Final = 10
"""Shades of a cell: the classes h0 to h10 of the page."""
_MAIN: Final = ("auc", "accuracy", "rmse")
"""The figure by which sites are compared: the first of these that models have."""
_BESIDE: Final = ("ks", "loss", "macro_f1", "r2", "mae")
_OF_CLASS: Final = ("rows", "precision", "recall", "f1", "auc")
_OF_THRESHOLD: Final = ("threshold", "flagged", "tp", "fp", "fn", "tn", "precision", "recall", "f1")
_MARKS: Final[Mapping[str, str]] = {
    "default": "at probability 0.5",
    "ks": "where KS is greatest",
    "f1": "where F1 is greatest",
    "cheapest": "cheapest",
}
_Z: Final = 1.96
"""95 % of noise lies within this many standard errors."""
_COUNTS: Final = frozenset({"rows", "tp", "fp", "fn", "tn"})


def matrix(value: Any) -> Markup:
    """Return a confusion matrix: rows are the classes, columns what was predicted.

    A cell's shade is its share of its class.
    """
    names = [str(name) for name in listed(members(value).get("classes"))]
    rows = points(members(value).get("rows"), len(names))
    if not 1 < len(names) <= MAX_CLASSES or len(rows) != len(names):
        return Markup()
    head = Markup("").join(Markup('<th class="n">{}</th>').format(both(name)) for name in names)
    body = Markup("").join(
        Markup("<tr><th>{}</th>{}</tr>").format(both(name), _shaded(counts))
        for name, counts in zip(names, rows, strict=True)
    )
    title = both("Confusion matrix: rows by class, columns by prediction")
    return _table(title, Markup("<tr><th></th>{}</tr>").format(head), body, "matrix")


def _shaded(counts: Sequence[float]) -> Markup:
    whole = sum(max(one, 0.0) for one in counts)
    cells = []
    for count in counts:
        share = max(count, 0.0) / whole if whole else 0.0
        cells.append(
            Markup('<td class="n h{}">{:,.0f}<small>{:.1f} %</small></td>').format(
                round(_HEAT * share), count, 100 * share
            )
        )
    return Markup("").join(cells)


def classes(value: Any) -> Markup:
    """Return the figures of each class."""
    found = lines(value, "rows")
    if not found:
        return Markup()
    return _of_lines("Each class", [("class", found)], _OF_CLASS)


def thresholds(value: Any, costs: Any) -> Markup:
    """Return what follows from each threshold, and which are the best by something."""
    found = lines(value, "threshold", "flagged", "tp", "fp", "fn", "tn")
    if not found:
        return Markup()
    names: tuple[str, ...] = _OF_THRESHOLD
    if any(number(line.get("cost")) is not None for line in found):
        names = (*names, "cost")
    table = _of_lines("Thresholds", [("marks", found)], names)
    paid = [number(one) for one in listed(costs)]
    if len(paid) == 2 and None not in paid:
        told = Markup("<p>{}: {}; {}: {}</p>").format(
            both("cost of a false positive"), figure(paid[0]),
            both("cost of a false negative"), figure(paid[1]),
        )  # fmt: skip
        return table + told
    return table


def sites(models: Sequence[Mapping[str, Any]]) -> Markup:
    """Return a table of models by parties; the best model of a party is in bold.

    Args:
        models: as in the report. Empty for one model without lines of parties.
    """
    parties = list(dict.fromkeys(p for one in models for p in members(one.get("parties"))))[:1024]
    found = [numbers(one.get("figures")) for one in models]
    main = next((name for name in _MAIN if any(name in one for one in found)), None)
    if main is None or (len(models) < 2 and not parties):
        return Markup()
    beside = [name for name in _BESIDE if any(name in one for one in found)][:2]
    grid = [_line(one, main, parties) for one in models]
    best = [_best([line[at] for line in grid], main) for at in range(len(parties) + 1)]
    head = [both("Model"), both("All parties"), *map(_escaped, parties), *map(both, beside)]
    body = []
    for at, (model, values) in enumerate(zip(models, grid, strict=True)):
        errors = members(model.get("parties_noise"))
        noise = [None, *(numbers(errors.get(name)).get(main) for name in parties)]
        cells = [
            _figure(one, bold=at in best[place], error=noise[place])
            for place, one in enumerate(values)
        ]
        cells[0] = _whole(values[0], model, main, bold=at in best[0])
        cells += [_figure(found[at].get(name)) for name in beside]
        body.append(Markup("<tr><td>{}</td>{}</tr>").format(_model(model), Markup("").join(cells)))
    first, *others = head
    titles = Markup("<tr><th>{}</th>{}</tr>").format(
        first, Markup("").join(Markup('<th class="n">{}</th>').format(one) for one in others)
    )
    title = Markup("{} ({})").format(both("Models by parties"), both(main))
    table = _table(title, titles, Markup("").join(body), "sites")
    return Markup("<section><h2>{}</h2>{}</section>\n").format(both("Across parties"), table)


def _model(model: Mapping[str, Any]) -> Markup:
    """Return the cell of a model's name, its digest below it."""
    known, name = str(model.get("model") or model.get("job") or ""), str(model.get("name") or "")
    return Markup("{}<small>{}</small>").format(name, known) if name else _escaped(known)


def _line(model: Mapping[str, Any], main: str, parties: Sequence[str]) -> list[float | None]:
    """Return a model's main figure over all rows, then at each party."""
    by_party = members(model.get("parties"))
    each = [model.get("figures"), *(by_party.get(name) for name in parties)]
    return [numbers(one).get(main) for one in each]


def _whole(value: float | None, model: Mapping[str, Any], main: str, *, bold: bool) -> Markup:
    """Return the cell of the figure over all rows, with its interval."""
    interval = points([members(model.get("intervals")).get(main)], 2)
    if value is None or not interval:
        return _figure(value, bold=bold)
    told = _told(value, bold=bold)
    low, high = (figure(end) for end in interval[0])
    return Markup('<td class="n">{}<small>{} – {}</small></td>').format(told, low, high)


def _best(values: Sequence[float | None], main: str) -> set[int]:
    known = [one for one in values if one is not None]
    if len(known) < 2:
        return set()
    best = min(known) if main == "rmse" else max(known)
    return {at for at, one in enumerate(values) if one == best}


def _of_lines(
    title: str, named: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], names: Sequence[str]
) -> Markup:
    """Return a table of lines: what they are called, then their numbers."""
    ((called, found),) = named
    head = Markup("").join(Markup('<th class="n">{}</th>').format(both(name)) for name in names)
    body = Markup("").join(
        Markup("<tr><td>{}</td>{}</tr>").format(
            _called(line.get(called)),
            Markup("").join(_cell(name, line.get(name)) for name in names),
        )
        for line in found
    )
    first = both("class") if called == "class" else Markup()
    return _table(both(title), Markup("<tr><th>{}</th>{}</tr>").format(first, head), body, "lines")


def _called(value: Any) -> Markup:
    if not isinstance(value, list | tuple):
        return _escaped(value)
    return Markup(", ").join(both(_MARKS.get(one, one)) for one in map(str, value[:8]))


def _cell(name: str, value: Any) -> Markup:
    known = number(value)
    if known is not None and name in _COUNTS:
        return Markup('<td class="n">{:,.0f}</td>').format(known)
    return _figure(known)


def _figure(value: float | None, *, bold: bool = False, error: float | None = None) -> Markup:
    """Return the cell of a figure, with what noise alone moves it by in 95 of 100 cases."""
    told = _told(value, bold=bold)
    if value is None or error is None:
        return Markup('<td class="n">{}</td>').format(told)
    return Markup('<td class="n">{}<small>± {}</small></td>').format(told, figure(_Z * error))


def _told(value: float | None, *, bold: bool) -> Markup:
    told = _escaped("–" if value is None else figure(value))
    return Markup("<b>{}</b>").format(told) if bold else told


def _escaped(value: Any) -> Markup:
    return Markup("{}").format("" if value is None else str(value))


def _table(title: Markup, head: Markup, body: Markup, css: str) -> Markup:
    return Markup(
        '<h3>{}</h3><div class="scroll"><table class="{}"><thead>{}</thead><tbody>{}</tbody>'
        "</table></div>"
    ).format(title, css, head, body)
