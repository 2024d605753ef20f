"""A report beside the record of its job: the comparison of models is the one that was recorded.

A report is the centre's; nobody signs it. Of the table in which it compares models the digest
stands in the job's outcome (`job.finished`), over what is the same in every language. So the table
cannot be changed later. That it was right then is shown only for steps on whose figures a condition
of a pipeline is: those figures all parties signed, and the table must show them, rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from secureflow.domain.metricnames import COUNTED
from secureflow.engines.ledger.bundle_format import Bundle
from secureflow.engines.ledger.stepoutputs import SignedSteps, succeeded
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

MEMBERS: Final = ("same_rows", "models", "lines")
"""Of a comparison (`engines.run.comparison`), what is the same in every language."""
_CELL: Final = re.compile(
    r"(-?)([0-9][0-9,]{0,400})(?:\.([0-9]{1,12}))?(?:e([+-]?[0-9]{1,3}))?", re.ASCII
)
_SIGNED_UNIT: Final = Fraction(1, 10**6)
"""The last decimal of figures that parties sign."""


def comparison_digest(comparison: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 by which the record names a comparison, in whatever language it is.

    Raises:
        SecureFlowError: `not_canonical`.
    """
    return digest({name: comparison.get(name) for name in MEMBERS})


def recorded(comparison: Mapping[str, Any] | None) -> dict[str, JSON]:
    """Return what a job's outcome says of its comparison; nothing without one."""
    return {} if comparison is None else {"comparison": comparison_digest(comparison)}


class Reported:
    """What is wrong with, or missing of, a foreign report beside the record of its job.

    Args:
        bundle: the record.
        steps: of it.
        report: JSON; None for no report.
    """

    def __init__(self, bundle: Bundle, steps: SignedSteps, report: Any) -> None:
        self.failures: list[str] = []
        self.missing: list[str] = []
        if report is None:
            return
        if not isinstance(report, dict) or report.get("job") != bundle.job:
            self.failures.append(Text("the report is not one of job {job}", job=bundle.job))
            return
        named = [one.get("comparison") for one in succeeded(bundle)]
        table = report.get("comparison")
        if table is None:
            if any(one is not None for one in named):
                self.failures.append(
                    "the record names a comparison of models, and the report has none"
                )
            return
        self._compare(table, named)
        self.failures += _misquoted(table, steps)

    def _compare(self, table: Any, named: Sequence[Any]) -> None:
        try:
            found = comparison_digest(table if isinstance(table, dict) else {})
        except SecureFlowError:
            self.failures.append("the report's comparison of models cannot be read")
            return
        if not any(one is not None for one in named):
            self.missing.append("the record names no comparison of models; the report has one")
        self.failures += [
            Text(
                "the report compares models in a table of digest {digest}, the record names "
                "{other}",
                digest=found,
                other=shown(other[:64]) if isinstance(other, str) else "another",
            )
            for other in named
            if other is not None and other != found
        ]


def _misquoted(table: Any, steps: SignedSteps) -> Iterator[str]:
    """Yield where a table shows other figures of a step than its parties signed."""
    columns, lines = _columns(table), _lines(table)
    for gate in steps.gates:
        for number in gate.numbers:
            signed = (steps.signed(number) or {}).get("metrics")
            if signed is None:
                continue
            places = [place for place, step in enumerate(columns) if step == gate.step]
            if len(places) != len(signed):
                yield Text(
                    "the report compares {count} models of step {step}, parties signed figures of "
                    "{signed}",
                    count=len(places),
                    step=gate.step,
                    signed=len(signed),
                )
                continue
            for place, figures in zip(places, signed, strict=True):
                yield from _other_figures(gate.step, place, figures, lines)


def _other_figures(
    step: str, place: int, figures: Mapping[str, str], lines: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for metric, signed in sorted(figures.items()):
        cells = lines.get(metric, ())
        cell = cells[place] if place < len(cells) else ""
        if not _agree(metric, cell, signed):
            yield Text(
                "the report's table shows {metric} of model {place} of step {step} as {cell}, "
                "parties signed {signed}",
                metric=metric,
                place=place + 1,
                step=step,
                cell=cell if _CELL.fullmatch(cell) else "?",
                signed=signed,
            )


def _agree(metric: str, cell: str, signed: str) -> bool:
    """Tell whether a cell shows a signed figure, rounded as tables round it (`run.comparison`)."""
    found = _CELL.fullmatch(cell)
    if found is None:
        return False
    sign, whole, decimals, power = found.groups(default="")
    digits = whole.replace(",", "") + decimals
    exponent = int(power or "0") - len(decimals)
    value = int(sign + digits) * Fraction(10) ** exponent
    first = len(str(int(digits))) - 1 + exponent
    near = not int(digits) or -3 <= first <= 0
    unit = 0 if metric in COUNTED else -4 if near else first - 3
    apart = abs(value - Fraction(signed))
    return 2 * apart <= Fraction(10) ** unit + _SIGNED_UNIT


def _columns(table: Any) -> list[str]:
    """Return of each model of a table the step that measured it."""
    found = _members(table, "models")
    return [str(one["step"]) if isinstance(one.get("step"), str) else "" for one in found]


def _lines(table: Any) -> dict[str, list[str]]:
    """Return of each figure of a table what its cells show."""
    found: dict[str, list[str]] = {}
    for one in _members(table, "lines"):
        metric = one.get("metric")
        if isinstance(metric, str):
            values = [cell.get("value") for cell in _members(one, "cells")]
            found[metric] = [value if isinstance(value, str) else "" for value in values]
    return found


def _members(value: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects of a list in foreign JSON; what is none is an empty one."""
    listed = value.get(name) if isinstance(value, dict) else None
    if not isinstance(listed, list):
        return []
    return [one if isinstance(one, dict) else {} for one in listed]
