"""The part of an evaluation's report that people read as lines: figures, intervals, caveats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.figures import STABILITY
from secureflow.domain.metricnames import COUNTED
from secureflow.engines.run.codesection import COMPUTED, code_section
from secureflow.engines.run.comparison import called, shortened
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, text_in, with_texts

CAVEATS: Final = "What so many rows can show"


def sections(evaluation: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """Return the sections of a report: of each model its figures, what these can show, its shift.

    Args:
        evaluation: the report's `evaluation` (`figures`).
    """
    found: list[dict[str, JSON]] = []
    for one in evaluation["models"]:
        title = Text("Evaluation of {model}", model=called(one))
        found.append(with_texts({"title": title, "rows": _figures(one)}))
        rows = [_line(number, line) for number, line in enumerate(one["honest"], 1)]
        if rows:
            found.append({"title": CAVEATS, "rows": rows})
        if code := one.get("code"):
            found.append(code_section(COMPUTED, code))
        if shift := one.get("psi"):
            found.append({"title": STABILITY, "rows": _shift(shift)})
    return found


def _figures(one: Mapping[str, Any]) -> list[dict[str, JSON]]:
    rows: list[dict[str, JSON]] = []
    for name, value in one["figures"].items():
        interval, noise = one["intervals"].get(name), one["noise"].get(name)
        rows.append(with_texts({"label": name, "value": _told(name, value, interval, noise)}))
    return rows


def _told(
    name: str, value: float, interval: Sequence[float] | None, noise: float | None
) -> str | float:
    if name in COUNTED:
        return Text("about {count:,}", count=int(value)) if noise else f"{int(value):,}"
    if interval is not None:
        low, high = (shortened(end) for end in interval)
        return Text(
            "{value} (95 % interval {low} to {high})", value=shortened(value), low=low, high=high
        )
    if noise:
        return Text("{value} (standard error {noise})", value=shortened(value),
                    noise=shortened(noise))  # fmt: skip
    return shortened(value)


def _line(number: int, line: Mapping[str, Any]) -> dict[str, JSON]:
    return with_texts({"label": f"{number}.", "value": text_in(line, "line")})


def _shift(shift: Mapping[str, Any]) -> list[dict[str, JSON]]:
    rows: list[dict[str, JSON]] = []
    if "psi" in shift:
        rows.append({"label": "PSI", "value": shortened(shift["psi"])})
        rows.append({"label": "by_chance", "value": shortened(shift["by_chance"])})
    rows.append(with_texts({"label": "reading", "value": text_in(shift, "reading")}))
    rows += [{"label": name, "value": f"{shift[name]:,}"} for name in ("rows", "baseline_rows")]
    return rows
