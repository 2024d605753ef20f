"""Why a CSV file cannot be read, for its owner: the line, and never what a cell holds."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from secureflow.adapters.datasources.drafts import NEEDS
from secureflow.kit.text import Text

_HEAD: Final = 4096
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_OTHERS: Final = {
    ";": "semicolons separate its cells, not commas",
    "\t": "tabs separate its cells, not commas",
}
_UTF8: Final = (
    "Save it as CSV in UTF-8: a workbook is none, and “Unicode text” of spreadsheets is UTF-16."
)
_COMMAS: Final = "Save it with commas between the cells, and points in decimals."
_QUOTES: Final = "Put quotes around cells that hold a comma, and correct that line."


def csv_fault(path: Path) -> tuple[str, str]:
    """Return the reason why a file is no CSV file that can be read, and what to do."""
    unknown = "it is not a readable file of its kind", NEEDS
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head.startswith(_WIDE) or b"\0" in head:
            return "it is not in UTF-8", _UTF8
        with path.open(encoding="latin-1", newline="") as text:
            return _in_rows(_numbered(text)) or unknown
    except (OSError, csv.Error):
        return unknown


def other_separator(names: Sequence[str]) -> tuple[str, str] | None:
    """Return what separates the cells in the place of commas, and what to do; None for commas."""
    if len(names) != 1:
        return None
    found = next((told for sign, told in _OTHERS.items() if sign in names[0]), None)
    return None if found is None else (found, _COMMAS)


def _numbered(text: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, and the line that each ends with."""
    reader = csv.reader(text)
    return ((reader.line_num, row) for row in reader if row)


def _in_rows(rows: Iterator[tuple[int, list[str]]]) -> tuple[str, str] | None:
    _, header = next(rows, (0, list[str]()))
    if other := other_separator(header):
        return other
    for line, row in rows:
        if len(row) != len(header):
            reason = Text("line {line} has {cells} {cells:cell|cells}, the header {expected}",
                          line=line, cells=len(row), expected=len(header))  # fmt: skip
            return reason, _QUOTES
    return None
