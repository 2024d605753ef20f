"""How objects show themselves in a notebook: small tables of HTML, in the reader's language.

Everything that is filled in is escaped, hidden characters too: names come from other members. The
tables have no script, no colour of their own and nothing from elsewhere, so they read in light and
dark notebooks, and offline. `SECUREFLOW_LANG` chooses English or Chinese.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from secureflow.kit.plain import shown
from secureflow.kit.text import Text
from secureflow.texts import preferred, told

TIMES: Final = frozenset(
    {"created", "expires", "updated", "used", "since", "revoked", "removed", "started", "finished"}
)
"""Members that are unix seconds."""
_WORDS: Final = frozenset({"state", "kind", "type", "unit", "stage", "noise"})
"""Members whose values are from a short list, and translated."""
_LATEST: Final = 1 << 36
SHOWN: Final = 50
"""Rows of a list that are shown; the others are counted."""
_LONGEST: Final = 2000
"""Characters of a cell that are shown. Ids and digests are shorter."""
_CELL: Final = Markup(
    '<td style="text-align:left;vertical-align:top;white-space:pre-line;overflow-wrap:anywhere">'
    "{}</td>"
)
_NOTE: Final = Markup("<p>{}</p>")
_TITLE: Final = Markup("<p><b>{}</b></p>")
_HEAD: Final = Markup('<th style="text-align:left">{}</th>')


def word(text: str) -> str:
    """Return one of our own words or texts in the reader's language."""
    return told(text, preferred())


def moment(seconds: Any) -> str:
    """Format unix seconds in the local zone; empty for None, and for what is no time."""
    if not isinstance(seconds, int | float) or not 0 < seconds < _LATEST:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def listed(names: Iterable[object]) -> str:
    """Return names one after the other, as the reader's language separates them."""
    return ("、" if preferred() == "zh" else ", ").join(map(str, names))


def plain(name: str, value: Any) -> str:
    """Return the text of a value under a name: a time, a translated word, a number, a list."""
    if name in TIMES and not isinstance(value, str | bool):
        return moment(value)
    match value:
        case None:
            told = ""
        case bool():
            told = word("yes" if value else "no")
        case float():
            told = f"{value:.6g}"
        case str():
            told = word(value) if name in _WORDS or isinstance(value, Text) else str(value)
        case Mapping():
            told = listed(f"{key}={plain('', one)}" for key, one in value.items())
        case list() | tuple():
            deep = any(isinstance(one, Mapping | list | tuple) for one in value)
            told = json.dumps(value, ensure_ascii=False, default=str) if deep else ""
            told = told or listed(plain("", one) for one in value)
        case _:
            told = str(value)
    return told


def cell(name: str, value: Any) -> Markup:
    """Return a value as the cell of a table, escaped."""
    text = shown(plain(name, value), several=True)
    return _CELL.format(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def table(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], more: str = "", title: str = ""
) -> str:
    """Return rows as an HTML table.

    Args:
        columns: names of members, which are translated where they are ours.
        rows: at most `SHOWN` of them are shown.
        more: told below, translated already; before it, how many rows are not shown.
        title: told above, translated already.
    """
    heads = Markup("").join(_HEAD.format(shown(word(name))) for name in columns)
    lines = [
        Markup("<tr>{}</tr>").format(Markup("").join(cell(name, row.get(name)) for name in columns))
        for row in rows[:SHOWN]
    ]
    left = Text("{count} more rows", count=len(rows) - SHOWN) if len(rows) > SHOWN else ""
    parts = [
        _paragraph(title),
        Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
            heads, Markup("").join(lines)
        ),
        _paragraph(word(left)),
        _paragraph(more),
    ]
    return Markup("").join(parts)


def facts(title: str, members: Mapping[str, Any]) -> str:
    """Return one object as an HTML table of two columns; members without a value are left out.

    Args:
        title: above it, translated already.
        members: by name; names are translated where they are ours.
    """
    lines = [
        Markup("<tr>{}{}</tr>").format(_HEAD.format(shown(word(name))), cell(name, value))
        for name, value in members.items()
        if plain(name, value)
    ]
    body = Markup("<table><tbody>{}</tbody></table>").format(Markup("").join(lines))
    return Markup("").join([_paragraph(title, _TITLE), body])


def _paragraph(text: str, form: Markup = _NOTE) -> Markup:
    return form.format(shown(text, several=True)) if text else Markup("")
