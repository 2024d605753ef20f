"""What a process and everything that it started used, as the host's kernel counts (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.process import stat_fields

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PEAK: Final = "VmHWM:"
_MOST: Final = 1024
"""Processes that are looked at."""


@dataclass(frozen=True)
class Usage:
    """Processor seconds so far, and the sum of each process's largest memory in bytes."""

    seconds: float = 0.0
    peak: int = 0


def usage(pid: int) -> Usage:
    """Return what a process and its descendants used; nothing of those that have ended."""
    ticks, peak = 0, 0
    for one in _with_descendants(pid):
        folder = Path(f"/proc/{one}")
        try:
            fields = stat_fields(folder / "stat")
            ticks += sum(map(int, fields[11:15]))  # its own, and those of children that ended
            peak += _peak((folder / "status").read_text(errors="replace"))
        except (OSError, ValueError, IndexError):  # it has ended
            continue
    return Usage(ticks / _TICKS, peak)


def _peak(status: str) -> int:
    for line in status.splitlines():
        if line.startswith(_PEAK):
            return int(line.split()[1]) << 10
    return 0


def _with_descendants(pid: int) -> Iterator[int]:
    left, seen = [pid], 0
    while left and seen < _MOST:
        one = left.pop()
        seen += 1
        yield one
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                left += map(int, task.read_text().split())
            except OSError:  # the thread has ended
                continue
