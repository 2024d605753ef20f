"""Spans of time as people write them, and a timetable in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.cli.console import moment
from secureflow.cli.texts import t

UNITS: Final[Mapping[str, int]] = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit."""


def spelled(seconds: int) -> str:
    """Return a span of time as people write it, exactly."""
    for unit in ("w", "d", "h", "m"):
        if seconds % UNITS[unit] == 0:
            return f"{seconds // UNITS[unit]}{unit}"
    return f"{seconds}s"


def runs_in_words(times: Mapping[str, Any]) -> str:
    """Say when a timetable runs, and how often: one approval covers all of it.

    Args:
        times: `first` in unix seconds, `every` and `window` in seconds, and `runs`.
    """
    first, every, runs = int(times["first"]), int(times["every"]), int(times["runs"])
    return t(
        "{runs} {runs:run|runs}, every {every}, from {first} to {last}; each begins within "
        "{window} of its time or is left out. ONE APPROVAL COVERS ALL OF THEM",
        runs=runs, every=spelled(every), first=moment(first),
        last=moment(first + (runs - 1) * every), window=spelled(int(times["window"])),
    )  # fmt: skip
