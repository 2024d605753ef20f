"""A running platform whose database is locked, cut off, crashed or away for a while.

Real processes all of them. The job goes on without a restart of the server, by itself, and ends
with the model of the undisturbed run; `/readyz` shows the fault; nobody is told a driver's words.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.specs.training import TrainingPlan
from tests.conftest import demand_postgres
from tests.contract.database import postgres
from tests.contract.database.postgres import Cluster
from tests.peers.database_faults import cut, locked, stopped
from tests.survival.entry import BUSY
from tests.survival.world import await_end, check_story, halting, platform, training

PLAN = TrainingPlan(rounds=8, batch_size=64, learning_rate=0.1)
WORDS = (
    "sqlite",
    "psycopg",
    "sqlalchemy",
    "operationalerror",
    "insert into",
    "select ",
    "traceback",
)
SHORT = 3.0
LONG = 40.0
"""Longer than SQLite itself waits for another writer (30 s)."""


@dataclass
class Place:
    """A platform, the digest of its undisturbed model, and what makes its database fail."""

    platform: Platform
    failing: Callable[[], AbstractContextManager[None]]
    url: str = ""
    digest: str = ""
    told: list[str] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    go_on: Callable[[], None] = lambda: None  # lets the party go on that stood still before

    @property
    def waits(self) -> int:
        """How often a process said that a job waits for the database.

        The server, or the party that stood still: it may need a proof or a model before it can
        answer.
        """
        said = (process.log.read_text() for process in self.platform.processes.values())
        return sum(text.count("job_waits") + text.count("centre_awaited") for text in said)


@contextlib.contextmanager
def of_sqlite(directory: Path, busy: str) -> Iterator[Place]:
    with platform(directory, environment={BUSY: busy}) as built:
        yield Place(built, lambda: locked(built.server / "secureflow.db"))


@contextlib.contextmanager
def of_postgres(directory: Path) -> Iterator[Place]:
    with postgres.cluster(demand_postgres()) as one, platform(directory, database=one.url) as built:
        yield Place(built, _stopped(one), one.url)


def _stopped(cluster: Cluster) -> Callable[[], AbstractContextManager[None]]:
    return lambda: stopped(cluster)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """SQLite that waits for another writer for half a second, so that tests need not wait 30 s."""
    with of_sqlite(tmp_path_factory.mktemp("sqlite") / "p", "0.5") as made:
        yield undisturbed(made)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with of_postgres(tmp_path_factory.mktemp("postgres") / "p") as made:
        yield undisturbed(made)


def undisturbed(place: Place) -> Place:
    ended = run(place, contextlib.nullcontext)
    place.digest = ended.report["model"]["digest"]
    return place


def run(place: Place, disturbance: Callable[[], AbstractContextManager[None]]) -> Any:
    """Run a job, and have a disturbance begin and end in its middle."""
    place.told, place.ready = [], []
    server = place.platform.processes["server"]
    before = server.pid
    with place.platform.client("bank-a") as client:
        with contextlib.ExitStack() as party:
            halt = party.enter_context(halting(place.platform, "bank-b"))
            job = client.jobs.submit(training(place.platform, PLAN)).id
            halt()
            place.go_on = party.close
            with watched(place, job, client._connection.token), disturbance():
                pass
        ended = await_end(client, job)
        events = [event.data for event in client.jobs.watch(job)]
    assert ended.state == "succeeded", ended.error
    assert (server.pid, server.alive) == (before, True)
    check_story(place.platform, ended)
    said = f"{place.told} {vars(ended)} {events}".lower()
    assert not [word for word in WORDS if word in said]
    return ended


@contextlib.contextmanager
def watched(place: Place, job: str, token: str) -> Iterator[None]:
    """Ask over and over, as a browser would, and keep whatever is answered."""
    over = threading.Event()
    context = ssl.create_default_context(cafile=str(place.platform.ca))
    headers = {"Authorization": f"Bearer {token}"}

    def ask() -> None:
        with httpx.Client(base_url=place.platform.url, verify=context, timeout=60) as http:
            while not over.is_set():
                place.ready.append(http.get("/readyz").status_code)
                for path in (f"/api/v1/jobs/{job}", f"/api/v1/jobs/{job}/explain", "/metrics"):
                    place.told.append(http.get(path, headers=headers).text)
                time.sleep(0.1)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()


def lasting(place: Place, seconds: float) -> Callable[[], AbstractContextManager[None]]:
    """Return the place's fault, held for so long and until `/readyz` and the job have met it."""

    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        before = place.waits
        with place.failing():
            place.go_on()
            time.sleep(seconds)
            until = time.monotonic() + 60
            while 503 not in place.ready or place.waits == before:
                assert time.monotonic() < until
                time.sleep(0.1)
            yield

    return failing


def test_another_process_holds_the_file(embedded: Place) -> None:
    ended = run(embedded, lasting(embedded, SHORT))
    assert ended.report["model"]["digest"] == embedded.digest


@pytest.mark.postgres
def test_the_service_crashes_and_comes_back(service: Place) -> None:
    ended = run(service, lasting(service, 0.0))
    assert ended.report["model"]["digest"] == service.digest


@pytest.mark.full
@pytest.mark.postgres
def test_every_connection_is_cut_again_and_again(service: Place) -> None:
    @contextlib.contextmanager
    def cutting() -> Iterator[None]:
        service.go_on()
        for _ in range(10):
            cut(service.url)
            time.sleep(0.1)
        yield

    assert run(service, cutting).report["model"]["digest"] == service.digest


@pytest.mark.soak
def test_another_process_holds_the_file_for_long(tmp_path: Path, embedded: Place) -> None:
    with of_sqlite(tmp_path / "p", "30") as made:
        ended = run(made, lasting(made, LONG))
    assert ended.report["model"]["digest"] == embedded.digest


@pytest.mark.soak
@pytest.mark.postgres
def test_the_service_is_away_for_long(service: Place) -> None:
    ended = run(service, lasting(service, 30.0))
    assert ended.report["model"]["digest"] == service.digest
