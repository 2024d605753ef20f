"""Named points of a process's work at which it kills itself: each once per arming, over restarts.

A test arms one process at a time by writing `armed.json`; the process appends a point's name to
its own file, durably, before it dies there, so that the restarted one passes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ARMED = "armed.json"


@dataclass(frozen=True)
class Arming:
    """Which process dies, or stands still.

    Args:
        process: its name, or `*` for all.
        kinds: only points whose name contains one of these; none: all of them.
        chance: probability of dying at a point (1: at each, once).
        seed: of the dice; the same point may be fatal again and again then.
        most: the most deaths of one process under this arming.
        share: of the steps, drawn by their names and the seed; each of their points counts.
        stays: it does not die there, but stands still until it is disarmed.
    """

    process: str
    kinds: tuple[str, ...] = ()
    chance: float = 1.0
    seed: int = 0
    most: int = 1_000
    share: float = 1.0
    stays: bool = False

    def write(self, directory: Path) -> None:
        """Arm, with nobody dead yet: the processes see it at their next point."""
        for path in directory.glob("*.deaths"):
            path.unlink()
        partial = directory / f".{ARMED}"
        partial.write_text(json.dumps(asdict(self)))
        partial.replace(directory / ARMED)


def disarm(directory: Path) -> None:
    """Let everybody live."""
    (directory / ARMED).unlink(missing_ok=True)


def deaths(directory: Path, process: str) -> list[str]:
    """Return the points at which a process died, in order."""
    path = directory / f"{process}.deaths"
    return path.read_text().splitlines() if path.exists() else []


class Points:
    """A process's side.

    Args:
        directory: shared with the test.
        process: this one's name.
    """

    def __init__(self, directory: Path, process: str) -> None:
        self._directory = directory
        self._process = process
        self._visits = 0

    def reach(self, point: str) -> None:
        """Die here if the arming says so."""
        self._visits += 1
        try:
            armed = Arming(**json.loads((self._directory / ARMED).read_text()))
        except OSError:
            return
        if armed.process in (self._process, "*") and self._fatal(armed, point):
            self._note(point)
            if not armed.stays:
                os.kill(os.getpid(), signal.SIGKILL)
            while (self._directory / ARMED).exists():
                time.sleep(0.01)

    def _fatal(self, armed: Arming, point: str) -> bool:
        if armed.kinds and not any(kind in point for kind in armed.kinds):
            return False
        step = point.rpartition(" ")[0]
        if random.Random(f"{armed.seed}/{step}").random() >= armed.share:
            return False
        known = deaths(self._directory, self._process)
        if armed.chance >= 1.0:
            return point not in known
        dice = random.Random(f"{armed.seed}/{self._process}/{len(known)}/{self._visits}/{point}")
        return len(known) < armed.most and dice.random() < armed.chance

    def _note(self, point: str) -> None:
        with (self._directory / f"{self._process}.deaths").open("a") as file:
            file.write(f"{point}\n")
            file.flush()
            os.fsync(file.fileno())
