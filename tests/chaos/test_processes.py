"""Chaos on real processes, over SQLite and PostgreSQL: five schedules with every run of the tests.

Two hundred in `make soak` (`--seeds A:B` takes a part). What a machine cannot do (small disks,
wrong clocks, PostgreSQL) is skipped loudly, and never where `.ci/run` demands it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.chaos.jobs import KINDS
from tests.chaos.oracle import Observed, violations
from tests.chaos.processes import Machines, machines
from tests.chaos.schedules import CLOCK, DISK, Schedule, draw_real
from tests.conftest import demand_postgres
from tests.contract.database.postgres import cluster
from tests.peers import clocks, full_disk
from tests.seeded import portions

REPEAT = "python -m pytest tests/chaos/test_processes.py -k 'test_seeds and {}' --seeds {}:{}"
DATABASES = ("sqlite", "postgres")
pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")
"""A process that is killed, here too where that is played, closes nothing by itself."""


def schedules(seeds: range, database: str) -> list[Schedule]:
    return [draw_real(seed, database == "postgres") for seed in seeds]


def demand(drawn: list[Schedule]) -> None:
    """Skip what this machine cannot do, loudly."""
    whats = {fault.what for one in drawn for fault in one.faults}
    if DISK in whats:
        full_disk.demand()
    if CLOCK in whats:
        clocks.demand()


@contextmanager
def place(directory: Path, drawn: list[Schedule], database: str) -> Iterator[Machines]:
    with ExitStack() as stack:
        if database == "sqlite":
            yield stack.enter_context(machines(directory, drawn))
            return
        running = stack.enter_context(cluster(demand_postgres()))
        engine = sa.create_engine(
            running.url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
        )
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE chaos")
        url = make_url(running.url).set(database="chaos")
        yield stack.enter_context(
            machines(directory, drawn, running, url.render_as_string(hide_password=False))
        )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Machines over SQLite, whose disks are large and whose clocks are right."""
    with place(tmp_path_factory.mktemp("plain") / "m", [], "sqlite") as made:
        yield made


def check(seeds: range, database: str, directory: Path, request: Any) -> None:
    """Play each seed; tell of all that break a promise, with the command that repeats them."""
    drawn = schedules(seeds, database)
    demand(drawn)
    found = []
    with ExitStack() as stack:
        if database == "sqlite" and not {DISK, CLOCK} & {
            f.what for one in drawn for f in one.faults
        }:
            made = request.getfixturevalue("plain")
        else:
            made = stack.enter_context(place(directory, drawn, database))
        for one in drawn:
            seen = made.play(one)
            wrong = violations(one, seen, made.calm(one.kind, seen))
            if wrong:
                repeat = REPEAT.format(database, one.seed, one.seed + 1)
                found.append("\n  ".join([repeat, str(one), *wrong]))
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize(
    "twice",
    [
        pytest.param(("masked", "both"), id="masked"),
        pytest.param(tuple(kind.name for kind in KINDS), id="all", marks=pytest.mark.soak),
    ],
)
def test_jobs_of_every_kind_at_once(plain: Machines, twice: tuple[str, ...]) -> None:
    """No fault but one another: the masked vectors of equal shapes were filed crosswise."""
    ended = plain.together(*twice)
    assert [(kind, one.state, one.error) for kind, one in ended] == [
        (kind, "succeeded", None) for kind, _ in ended
    ]
    for kind in ("sealed", "masked", "both", "agents"):  # without noise
        calm = plain.calm(kind, Observed(charter=plain.charter)).job
        digests = {(one.report or {})["model"]["digest"] for name, one in ended if name == kind}
        assert digests == {(calm.report or {})["model"]["digest"]}


@pytest.mark.postgres
@pytest.mark.parametrize("database", DATABASES)
@portions(161, 166, 5)
def test_seeds(seeds: range, database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Even seeds on SQLite, odd ones on PostgreSQL; a single one on both.

    These five need neither a small disk nor a wrong clock, which cost the most time.
    """
    step = 1 if len(seeds) == 1 else 2
    check(seeds[DATABASES.index(database) % step :: step], database, tmp_path, request)


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("database", DATABASES)
@portions(0, 200, 20)
def test_many_seeds(
    seeds: range, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    check(seeds[DATABASES.index(database) :: 2], database, tmp_path, request)
