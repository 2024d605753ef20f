"""Wall clocks that a test sets wrong, each process's by itself and while it runs (libfaketime).

Only the wall clock is moved (`time.time()`, the times that TLS compares certificates with); the
monotonic clock and the files' times are the machine's. A process started with `environment(name)`
reads its offset again every second, so `set` is a jump in the running process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import pytest

HOUR: Final = 3600
DAY: Final = 24 * HOUR
DEMANDED: Final = "SECUREFLOW_DEMAND_FAKETIME"
"""Set (`.ci/run` does), a machine without libfaketime fails what it else skips."""
ABSENT: Final = "Clock jumps NOT TESTED: no libfaketime (Debian: apt-get install faketime)"

_PLACES: Final = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def library() -> Path | None:
    """Return the library that moves clocks; None: this machine has none."""
    return next((path for one in _PLACES for path in sorted(Path("/").glob(one[1:]))), None)


def told() -> str:
    """Return the line that says whether clock jumps are tested."""
    found = library()
    return f"Clock jumps: {found}" if found else f"{ABSENT} ({DEMANDED}=1 makes this a failure)"


def demand() -> None:
    """Skip, or fail where it is demanded, on a machine that cannot move clocks."""
    if library() is None and os.environ.get(DEMANDED):
        pytest.fail(f"{ABSENT}, and {DEMANDED} is set")
    if library() is None:
        pytest.skip(ABSENT)


class Clocks:
    """The wall clocks of a test's processes, by name.

    Args:
        directory: holds one small file per process.
    """

    def __init__(self, directory: Path) -> None:
        demand()
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def environment(self, name: str) -> dict[str, str]:
        """Return what a process (and its children) is started with; its clock is right so far."""
        if not self._file(name).exists():
            self.set(name, 0)
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": "1",  # looking at every call costs more than the call
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # it makes every wait for Python's lock spin
            "FAKETIME_DISABLE_SHM": "1",  # a killed process would leave its segment behind
            "NO_FAKE_STAT": "1",
        }

    def set(self, name: str, ahead: int) -> None:
        """Move a process's clock: seconds ahead of this machine's, negative for behind."""
        fresh = self._directory / f".{name}"
        fresh.write_text(f"{ahead:+d}\n")
        fresh.replace(self._file(name))

    def right(self) -> None:
        """Set every clock right again."""
        for file in self._directory.glob("*.clock"):
            self.set(file.stem, 0)

    def now(self, name: str) -> int:
        """Return what time a process believes it is."""
        return int(time.time()) + int(self._file(name).read_text())

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.clock"
