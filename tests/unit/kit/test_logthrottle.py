from __future__ import annotations

import logging
from typing import Any

from secureflow.kit.logthrottle import KINDS, MINUTE, OncePerMinute, ThrottledLog, ThrottleFilter


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))


def record(msg: object, level: int = logging.WARNING, *args: object) -> logging.LogRecord:
    return logging.LogRecord("library", level, __file__, 1, msg, args, None)


def test_a_kind_has_one_line_a_minute_which_counts_the_rest() -> None:
    now, log = [0.0], Log()
    faults = ThrottledLog(log, lambda: now[0])  # type: ignore[arg-type]
    for _ in range(1000):
        faults.note("too_slow", phase="head")
    faults.note("other")
    now[0] = MINUTE
    faults.note("too_slow", phase="body")
    assert log.lines == [
        ("too_slow", {"phase": "head", "more_before": 0}),
        ("other", {"more_before": 0}),
        ("too_slow", {"phase": "body", "more_before": 999}),
    ]


def test_kinds_are_bounded() -> None:
    once = OncePerMinute(lambda: 0.0)
    for kind in range(3 * KINDS):
        assert once.due(kind) == 0
    assert len(once._kinds) == KINDS


def test_a_librarys_warnings_are_calmed_and_its_news_is_not() -> None:
    now = [0.0]
    calm = ThrottleFilter(lambda: now[0])
    assert calm.filter(record("no descriptor for %s", logging.ERROR, "a"))
    assert not calm.filter(record("no descriptor for %s", logging.ERROR, "b"))
    assert all(calm.filter(record("started", logging.INFO)) for _ in range(3))
    now[0] = MINUTE
    again = record("no descriptor for %s", logging.ERROR, "c")
    assert calm.filter(again)
    assert again.getMessage() == "no descriptor for c [1 more like this before]"


def test_own_lines_pass_but_the_same_trace_again_does_not() -> None:
    calm = ThrottleFilter(lambda: 0.0)
    assert all(calm.filter(record({"event": "party_silent"})) for _ in range(3))

    def defect(line: int) -> logging.LogRecord:
        trace = f'Traceback:\n  File "a.py", line {line}, in f\n    g()\nValueError: {line}'
        told = {"event": "request failed with an internal error", "exception": trace}
        return record(told, logging.ERROR)

    assert calm.filter(defect(1))
    assert not calm.filter(defect(1))
    assert calm.filter(defect(2))  # another defect
