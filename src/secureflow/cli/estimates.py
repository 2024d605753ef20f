"""What a job is estimated to take, in units that people read; its JSON has plain numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.cli.texts import said, t
from secureflow.kit.disk import size

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


def time_told(seconds: float) -> str:
    """Return a time in seconds, minutes or hours."""
    if seconds < 2 * _MINUTE:
        return t("{count} s", count=f"{round(seconds, 1):g}")
    if seconds < 2 * _HOUR:
        return t("{count} min", count=f"{round(seconds / _MINUTE, 1):g}")
    return t("{count} h", count=f"{round(seconds / _HOUR, 1):g}")


def told(estimate: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and figures of an estimate as a table has them.

    Args:
        estimate: of `bytes`, `memory_bytes`, `seconds` and `rows` those that there are; others are
            told as they are.
        head: stands before each name.
    """
    for name, figure in estimate.items():
        number = isinstance(figure, int | float) and figure >= 0
        if name == "bytes" and number:
            yield f"{head}traffic", said(size(int(figure)))
        elif name == "memory_bytes" and number:
            yield f"{head}memory", said(size(int(figure)))
        elif name == "seconds" and number:
            yield f"{head}time", time_told(figure)
        else:
            yield f"{head}{name}", figure


def line(estimate: Mapping[str, Any]) -> str:
    """Return what an attempt takes, for whoever decides about it."""
    figures = dict(told(estimate))
    return t(
        "up to {traffic} between the parties, {memory} of memory, about {time} an attempt "
        "(an estimate: machines and links differ)",
        **{name: figures[name] for name in ("traffic", "memory", "time")},
    )
