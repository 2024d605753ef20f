"""A process for a kill test: it reserves a list, begins with it if told so, and is killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

from secureflow.agent.owner.probing import Probing
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.store import RecordStore
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, ProbingLimit
from secureflow.engines.privacy.probing import Probe

DATASET = DatasetConfig(
    "customers", "a.csv", "csv", (ColumnConfig("id", "text"),), probing=ProbingLimit(100)
)
JOB = JobRecord("job_0123456789", "d", {}, b"", 0, 0)
LIST = Probe("bank-b", 60, "ab" * 32)
NOW = 1_800_000_000


class Settings:
    """One dataset with a limit of 100 ids."""

    organisation = "bank-a"
    datasets = (DATASET,)


class Leaves:
    """Signs nothing: what the log knows is another test's."""

    def leaf(self, *_: object) -> None:
        """Keep no leaf."""


async def nothing() -> None:
    """Find the log complete."""


def opened(directory: Path) -> tuple[Probing, RecordStore]:
    """Return the limits as a process finds them."""
    store, settings, leaves = RecordStore(directory / "agent.db"), Settings(), Leaves()
    parts: Any = settings, store, leaves
    return Probing(*parts, nothing, lambda: NOW), store


async def work(directory: Path, *, begin: bool) -> None:
    """Reserve, begin, and say so."""
    probing, _ = opened(directory)
    await probing.reserve(JOB, DATASET, [LIST])
    if begin:
        probing.begin(JOB, DATASET, [LIST])
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), begin=sys.argv[2] == "begin"))
    signal.pause()  # until it is killed
