"""Dates as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.steps import DateParts
from secureflow.domain.specs.tables import present
from secureflow.engines.preparation.columns import malformed_cell
from secureflow.engines.preparation.steps.step import Rows, StepEngine

_FRACTION: Final = re.compile(r"(?<=[0-9])\.[0-9]+\Z")
"""A fraction of a second: the times of a Parquet file are read with one."""
_FIELDS: Final = {
    "Y": "year", "m": "month", "d": "day", "H": "hour", "M": "minute", "S": "second"
}  # fmt: skip
_PIECES: Final = {
    "%Y": r"(?P<Y>\d\d\d\d)",
    "%m": r"(?P<m>1[0-2]|0[1-9]|[1-9])",
    "%d": r"(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9])",
    "%H": r"(?P<H>2[0-3]|[0-1]\d|\d)",
    "%M": r"(?P<M>[0-5]\d|\d)",
    "%S": r"(?P<S>[0-5]\d|\d)",
}
"""As in `strptime`."""


def _split(
    step: DateParts, rows: Rows, fit: Mapping[str, Any], strict: bool
) -> dict[str, NDArray[Any]]:  # fmt: skip
    del fit
    found: dict[str, NDArray[Any]] = {}
    for name in present(step, rows.table):
        cells = rows.values[name].tolist()
        known = {cell: _read(step, cell) for cell in set(cells) - {None}}
        if strict:
            _refuse(name, cells, known, rows.first)
        for part in step.parts:
            numbers = {None: math.nan} | {c: _number(part, day) for c, day in known.items()}
            each = (numbers[cell] for cell in cells)
            found[f"{name}.{part}"] = np.fromiter(each, np.float64, len(cells))
    return found


def _refuse(
    name: str, cells: list[Any], known: Mapping[Any, datetime | None], first: int
) -> None:  # fmt: skip
    for row, cell in enumerate(cells, first):
        if cell is not None and known[cell] is None:
            reason = "no format of the step date_parts fits it"
            raise malformed_cell(name, row, reason, step="date_parts")


def _read(step: DateParts, cell: str) -> datetime | None:
    text = cell.strip()
    for form in step.formats:
        written = _FRACTION.sub("", text) if form.endswith("%S") else text
        found = _parsed(written, form)
        if found is not None and step.years[0] <= found.year <= step.years[1]:
            return found
    return None


def _parsed(text: str, form: str) -> datetime | None:
    """Return the date that a text is in a format, None if it is none."""
    found = _pattern(form).fullmatch(text)
    if found is None:
        return None
    fields = {_FIELDS[name]: int(digits) for name, digits in found.groupdict().items()}
    try:
        return datetime(**{"month": 1, "day": 1, **fields})  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _pattern(form: str) -> re.Pattern[str]:
    """Return what `strptime` looks for, of ASCII digits, compiled once: it keeps five formats."""
    parts = re.split(r"(%[YmdHMS]|\s+)", form)
    return re.compile("".join(_PIECES.get(one) or _literal(one) for one in parts), re.ASCII)


def _literal(text: str) -> str:
    return r"\s+" if text.isspace() else re.escape(text)


def _number(part: str, day: datetime | None) -> float:
    if day is None:
        return math.nan
    if part == "weekday":
        return float(day.weekday())
    if part == "day_of_year":
        return float(day.timetuple().tm_yday)
    return float(getattr(day, part))


DATE_PARTS: Final = StepEngine(_split)
