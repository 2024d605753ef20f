"""Which logs of code are kept: those of jobs that are open, and so many of those that are over.

Beyond that one goes of the project that has the most of them, of its submitter who has the most:
the oldest. So whoever submits many jobs pushes their own logs out, and nobody else's; and of p
projects each keeps its newest ones, at least a p-th of the places, however many the others have.
More projects make each one's share smaller, which takes this owner's approval of a job of each.
Project and submitter are what the approved job says; those of jobs whose record is gone are one
project's.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path("bundles") / "logs"
"""Below the agent's folder: what bundles print, a file for each job."""
MOST: Final = 200
"""Logs of jobs that are over; each has at most `printedlog.KEPT` bytes."""


@dataclass(frozen=True)
class Whose:
    """The project and the submitter of a job."""

    project: str = ""
    submitter: str = ""


class CodeLogs:
    """The logs of one agent.

    Args:
        directory: the agent's.
        whose: returns whose an approved job is.
    """

    def __init__(self, directory: Path, whose: Callable[[str], Whose]) -> None:
        self._folder = directory / FOLDER
        self._whose = whose

    def of(self, job: str, prepared: Collection[str]) -> Path:
        """Return the file of a job's log, and make room for it.

        Args:
            job: its id.
            prepared: the jobs that are open.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        over = []
        for one in self._folder.glob("*.log"):
            with contextlib.suppress(FileNotFoundError):  # another job starts now, too
                if one.stem not in prepared:
                    over.append((one.stat().st_mtime, one))
        if len(over) > MOST:
            kept = [(one, self._whose(one.stem)) for _, one in sorted(over)]
            for gone in beyond(kept, MOST):
                gone.unlink(missing_ok=True)
        return self._folder / f"{job}.log"


def beyond(logs: Sequence[tuple[Path, Whose]], most: int) -> Iterator[Path]:
    """Yield what goes of logs, given the oldest first, where at most so many are kept."""
    left = list(logs)
    while len(left) > most:
        projects = Counter(whose.project for _, whose in left)
        people = Counter(whose for _, whose in left)
        gone = max(left, key=lambda one: (projects[one[1].project], people[one[1]]))
        left.remove(gone)
        yield gone[0]
