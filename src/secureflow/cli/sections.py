"""A report's own sections as text: a title, and lines of a label and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.cli.console import write
from secureflow.cli.escaping import plain
from secureflow.cli.texts import listed, said, t
from secureflow.domain.figures import figure, section_rows
from secureflow.kit import reading
from secureflow.kit.text import text_in

_SHOWN_OTHERWISE: Final = ("prediction", "points")
"""Members of a report that have tables of their own, which say what its sections say; so has the
`evaluation` of models, but not that of a training, which is its last release."""


def show_sections(report: Mapping[str, Any]) -> bool:
    """Print the sections of a report, if its kind has no tables of its own; tell if there were."""
    told = False
    measured = reading.listed(reading.members(report.get("evaluation")).get("models"))
    if measured or any(name in report for name in _SHOWN_OTHERWISE):
        return told
    for section in reading.objects(report.get("sections"), reading.MAX_LINES):
        lines = [
            t("{what}: {value}", what=plain(said(text_in(row, "label"))), value=plain(_value(row)))
            for row in section_rows(section)[: reading.MAX_LINES]
        ]
        if lines:
            told = True
            write(f"\n{plain(said(text_in(section, 'title')))}")
            for line in lines:
                write(f"  {line}")
    return told


def _value(row: Mapping[str, Any]) -> str:
    value = row.get("value")
    if isinstance(value, str):
        return said(text_in(row, "value"))
    return listed(map(_one, reading.listed(value) if isinstance(value, list) else [value]))


def _one(value: Any) -> str:
    if isinstance(value, bool):
        return t("yes") if value else t("no")
    return said(figure(value))
