"""The platform that every schedule begins with: made once a process, in memory if that is there."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyarrow import csv

from tests.chaos.oracle import Observed
from tests.chaos.platform import PARTIES, Template, make_template
from tests.chaos.schedules import Schedule
from tests.chaos.world import play, release
from tests.memory import in_memory
from tests.seeded import pytest_generate_tests

__all__ = ["pytest_generate_tests"]


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """Return a directory for platforms; in memory, if there is room."""
    directory = Path(tempfile.mkdtemp(prefix="sf-chaos-", dir=in_memory()))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def template(memory: Path) -> Template:
    made = release(make_template(memory / "template"))
    csv.read_csv(made.directory / PARTIES[0] / "customers.csv")  # it opens a pipe of its own, once
    return made


@pytest.fixture(scope="session")
def played(memory: Path, template: Template) -> Callable[[Schedule], Observed]:
    """Play schedules."""
    places = (memory / f"world-{number}" for number in itertools.count())
    return lambda schedule: play(schedule, template, next(places))


@pytest.fixture(scope="session")
def calm(played: Callable[[Schedule], Observed]) -> Callable[[str], Observed]:
    """Return the undisturbed job of each kind, run when it is first asked for."""
    known: dict[str, Observed] = {}

    def undisturbed(kind: str) -> Observed:
        if kind not in known:
            known[kind] = played(Schedule(0, kind, ()))
        return known[kind]

    return undisturbed
