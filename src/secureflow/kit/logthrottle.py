"""Throttled logs: one line per kind and minute for faults that strangers can cause at will."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, Final

from secureflow.kit.clock import Ticks
from secureflow.kit.structlogs import FilteringBoundLogger

MINUTE: Final = 60.0
KINDS: Final = 1000
"""Most kinds remembered; the least recently seen is forgotten first."""


class OncePerMinute:
    """Decides which occurrences of a kind are logged, and counts the others."""

    def __init__(self, ticks: Ticks = time.monotonic) -> None:
        self._ticks = ticks
        self._kinds: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def due(self, kind: Hashable) -> int | None:
        """Return how many were suppressed since the last line, or None to suppress this one too."""
        now = self._ticks()
        next_line, left_out = self._kinds.get(kind, (now, 0))
        logged = now >= next_line
        self._kinds[kind] = (now + MINUTE, 0) if logged else (next_line, left_out + 1)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > KINDS:
            self._kinds.popitem(last=False)
        return left_out if logged else None


class ThrottledLog:
    """Logs faults, each kind once per minute with the count of those suppressed."""

    def __init__(self, log: FilteringBoundLogger, ticks: Ticks = time.monotonic) -> None:
        self._log = log
        self._once = OncePerMinute(ticks)

    def note(self, kind: str, **facts: Any) -> None:
        """Log one fault; `kind` is the event's name."""
        left_out = self._once.due(kind)
        if left_out is not None:
            self._log.warning(kind, more_before=left_out, **facts)


class ThrottleFilter(logging.Filter):
    """Lets each kind of library warning, and each traceback, through once per minute.

    A kind is the logger, the text before its values are filled in, and where the exception was
    raised: a stranger who finds a request that fails cannot fill the disk with it.
    """

    def __init__(self, ticks: Ticks = time.monotonic) -> None:
        super().__init__()
        self._once = OncePerMinute(ticks)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is logged; the count of suppressed ones is added to it."""
        kind = _kind(record)
        if kind is None:
            return True
        left_out = self._once.due(kind)
        if left_out:
            if isinstance(record.msg, dict):
                record.msg = {**record.msg, "more_before": left_out}
            else:
                record.msg = f"{record.msg} [{left_out} more like this before]"
        return left_out is not None


def _kind(record: logging.LogRecord) -> Hashable | None:
    if record.levelno < logging.WARNING:
        return None
    if isinstance(record.msg, Mapping):  # a line of our own
        trace = record.msg.get("exception")
        return (record.name, record.msg.get("event"), _place(trace)) if trace else None
    exception = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return (record.name, str(record.msg).partition("\n")[0][:200], type(exception))


def _place(trace: object) -> tuple[str, str]:
    """Return where an exception was raised, and its class, from its formatted traceback."""
    lines = str(trace).rstrip().splitlines()
    rose = [line for line in lines if line.lstrip().startswith("File ")]
    return (rose[-1].strip() if rose else "", lines[-1].partition(":")[0] if lines else "")
