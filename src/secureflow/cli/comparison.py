"""Models side by side: the comparison in a report as a table, and what its signs mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.cli.console import Form, show, write
from secureflow.cli.escaping import plain
from secureflow.cli.texts import said, t
from secureflow.domain.figures import section_rows
from secureflow.domain.metricnames import in_words
from secureflow.kit.reading import listed, members, objects
from secureflow.kit.text import text_in

_MOST: Final = 64
"""Most models that stand beside each other."""
_BEST: Final = "*"


def show_comparison(report: Mapping[str, Any]) -> None:
    """Print the comparison of a report: a line a figure, a column a model; * is the best."""
    whole = members(report.get("comparison"))
    models = objects(whole.get("models"), _MOST)
    lines = objects(listed(whole.get("lines")))
    if len(models) < 2 or not lines:
        return
    names = _names(models)
    figure = t("figure")
    rows = []
    for line in lines:
        cells = objects(line.get("cells"), len(models))
        told = dict(zip(names, map(_cell, cells), strict=False))
        rows.append({figure: said(in_words(plain(str(line.get("metric"))))), **told})
    of = [", ".join(map(str, listed(one.get("rows_of")))) for one in models]
    rows.append({figure: t("rows of"), **dict(zip(names, map(plain, of), strict=True))})
    write(f"\n{plain(said(text_in(whole, 'title')))}")
    show(rows, Form.TABLE, (figure, *names))
    if any(cell.get("best") is True for line in lines for cell in objects(line.get("cells"))):
        write(t("* is the best of a line."))
    for row in section_rows(whole):
        write(plain(said(text_in(row, "value"))))


def _names(models: tuple[Mapping[str, Any], ...]) -> list[str]:
    """Return what columns are called, each another: name or digest, else with its number."""
    found: list[str] = []
    for number, one in enumerate(models, 1):
        name = plain(str(one.get("name") or one.get("model") or one.get("job") or number))
        found.append(f"{name} ({number})" if name in found else name)
    return found


def _cell(cell: Mapping[str, Any]) -> str:
    value = str(cell.get("value") or "")
    beside = [str(cell.get(name) or "") for name in ("interval", "noise")]
    told = " ".join(filter(None, [value, f"({beside[0]})" if beside[0] else "", beside[1]]))
    return plain(f"{told} {_BEST}" if cell.get("best") is True else told)
