"""Queries as one line of text: `mean:age:by=sex`, `quantile:age:q=0.25,0.5:bins=100`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, get_args

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import Measure, StatisticsQuery
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_OPTIONS: Final = {"by": "by", "bins": "bins", "q": "quantiles", "name": "name"}
_EXAMPLE: Final = "Write MEASURE[:COLUMN][:by=COLUMN][:bins=N][:q=Q,Q][:name=NAME]."


def query(text: str) -> StatisticsQuery:
    """Parse the query of a line; without a name it is named after its parts.

    Raises:
        SecureFlowError: `invalid_request` if it is not a query.
    """
    measure, *parts = text.split(":")
    if measure not in get_args(Measure):
        raise _unreadable(
            text,
            Text(
                "{measure!r} is not a measure ({measures})",
                measure=measure,
                measures=", ".join(get_args(Measure)),
            ),
        )
    value: dict[str, Any] = {"measure": measure}
    for part in parts:
        option, equals, given = part.partition("=")
        field = _OPTIONS.get(option) if equals else "column"
        if field is None or field in value:
            raise _unreadable(text, Text("{part!r} is not understood", part=part))
        value[field] = given.split(",") if field == "quantiles" else given or part
    value.setdefault("name", _name(value))
    return parse(StatisticsQuery, value, "request")


def queries(texts: Iterable[str | StatisticsQuery]) -> tuple[StatisticsQuery, ...]:
    """Parse lines into queries; queries are passed through."""
    return tuple(query(text) if isinstance(text, str) else text for text in texts)


def _name(value: dict[str, Any]) -> str:
    words = [value["measure"], value.get("column", "")]
    words += ["by", value["by"]] if "by" in value else []
    plain = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
    return plain[:63]


def _unreadable(text: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_request",
        Text("The query {text!r} cannot be read: {reason}.", text=text, reason=reason),
        _EXAMPLE,
    )
