"""Wall clocks that jump under real processes: what is told, what goes on, and that all recovers."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.clocks import DAY, HOUR, Clocks

from secureflow.agent.edge.doctor import examine
from secureflow.cli import doctor as people
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.domain.specs.training import ModelSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client, Profile
from tests.survival.clocked import STALL
from tests.survival.world import await_end, platform, rehearsal

BANKS = ("bank-a", "bank-b", "bank-c")
PROCESSES = ("server", "enclave", *BANKS)
ENTRY = ("-m", "tests.survival.clocked")
LONG = 90.0


class World:
    """A platform whose clocks a test sets."""

    def __init__(self, place: Platform, clocks: Clocks) -> None:
        self.place = place
        self.clocks = clocks
        self._clients: dict[str, Client] = {}

    def set(self, who: str, ahead: int) -> None:
        """Move the clock of a process, of all agents or of all processes."""
        names = {"all": PROCESSES, "agents": BANKS}.get(who, (who,))
        for name in names:
            self.clocks.set(name, ahead)

    def right(self) -> None:
        """Set every clock right, and wait until everybody has noticed."""
        self.clocks.right()
        self.wait(lambda: all(ahead is not None and abs(ahead) < 100 for ahead in self.seen()))

    def client(self, party: str = "") -> Client:
        """Return a client that is logged in by the server's clock."""
        known = self._clients.get(party)
        if known is not None:
            with contextlib.suppress(SecureFlowError):
                known.me()
                return known
            self._clients.pop(party).close()
        self._clients[party] = self.place.client(party)
        return self._clients[party]

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def seen(self) -> list[int | None]:
        """Return what the server sees of the parties' clocks; None: not connected."""
        links = self.client().agents.links()
        return [link.clock_ahead if link.connected else None for link in links]

    def people(self) -> dict[str, Any]:
        """Return the last finding of `secureflow doctor`."""
        token = self.client("bank-a")._connection.token
        profile = Profile(self.place.url, token=token, ca=str(self.place.ca))
        return list(people.examine(profile))[-1]

    def logs(self) -> str:
        """Return the last lines of every process."""
        files = sorted((self.place.directory / "logs").iterdir())
        return "\n".join(f"{one.name}:\n{one.read_text()[-4000:]}" for one in files)

    def said(self, process: str, event: str) -> int:
        """Return how often a process has said so in its log."""
        return (self.place.directory / "logs" / f"{process}.log").read_text().count(event)

    def wait(self, condition: Callable[[], bool], told: Callable[[], str] = str) -> None:
        """Wait for it, over a server that cannot be reached for now; else say what is told."""
        deadline = time.monotonic() + LONG
        while True:
            try:
                if condition():
                    return
            except SecureFlowError as error:
                last: object = error
            else:
                last = "it is not so yet"
            assert time.monotonic() < deadline, f"{last}\n{told()}"
            time.sleep(0.1)

    def job(self, rounds: int = 1, meanwhile: Callable[[], None] = lambda: None) -> Job:
        """Run a rehearsal; do something to it once its first round is over."""
        request = rehearsal(self.place, BANKS, rounds, 20.0)
        client = self.client("bank-a")
        job = client.jobs.submit(request).id
        if rounds > 1:
            next(event for event in client.jobs.watch(job) if event.kind == "round")
        meanwhile()
        ended: list[Job] = []

        def over() -> bool:
            ended.append(self.client("bank-a").jobs.get(job))
            return ended[-1].state.final

        self.wait(over)
        return ended[-1]

    def refusal(self) -> SecureFlowError:
        """Return what a submission is told."""
        client = self.client("bank-a")
        with pytest.raises(SecureFlowError) as caught:
            client.jobs.submit(rehearsal(self.place, BANKS, 1, 20.0))
        return caught.value


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("clocks")
    clocks = Clocks(directory / "clocks")
    own = {name: clocks.environment(name) for name in PROCESSES}
    entry = dict.fromkeys(("server", "enclave", "agent"), ENTRY)
    with platform(directory / "p", data=False, mortal=False, entry=entry, own=own) as place:
        world = World(place, clocks)
        yield world
        world.close()


@pytest.fixture(name="world")
def _world(built: World) -> Iterator[World]:
    yield built
    built.right()


def test_a_server_two_hours_behind_is_named_by_all_and_forgiven(world: World) -> None:
    world.set("server", -2 * HOUR)
    world.wait(lambda: all(ahead is not None and ahead > HOUR for ahead in world.seen()))
    told = world.refusal()
    assert told.code == "clock_skew"
    assert "the centre's own clock is probably wrong" in told.message
    config = world.place.parties["bank-a"].config
    checks = {one["check"]: one for one in examine(config)}
    assert checks["clock"]["code"] == "clock_skew"
    assert "-72" in checks["clock"]["message"] or "-71" in checks["clock"]["message"]
    found = world.people()
    assert (found["check"], found["code"]) == ("clock", "clock_skew")
    world.right()
    assert world.job().state == "succeeded"


@pytest.mark.parametrize(
    ("who", "ahead"),
    [("bank-b", 2 * HOUR), pytest.param("enclave", -2 * HOUR, marks=pytest.mark.full)],
)
def test_a_partys_clock_is_named_at_submission(world: World, who: str, ahead: int) -> None:
    world.set(who, ahead)
    world.wait(lambda: any(abs(one or 0) > HOUR for one in world.seen()))
    told = world.refusal()
    assert told.code == "clock_skew"
    assert set(told.details["clock_ahead"]) == {who}
    found = world.people()
    assert (found["check"], found["code"]) == ("parties", "clock_skew"), found
    assert who in found["message"]
    world.right()
    assert world.job().state == "succeeded"


def test_a_running_job_goes_on_over_a_jump_of_a_day_and_back(world: World) -> None:
    """Every certificate has run out by the server's clock: parties renew them in mid-job.

    What they get has not begun by their own clocks, by which they and the enclave meet.
    """
    job = world.client("bank-a").jobs.submit(rehearsal(world.place, BANKS, 10_000, 20.0)).id

    def rounds() -> int:
        found = world.client("bank-a").jobs.get(job)
        assert not found.state.final, found.error
        return int(found.progress.get("round", 0))

    def passed(more: int) -> None:
        until = rounds() + more
        world.wait(lambda: rounds() >= until, world.logs)

    for ahead in (25 * HOUR, 0):
        passed(1)
        before = {name: world.said(name, "certificate_renewed") for name in PROCESSES[1:]}
        world.set("server", ahead)
        world.wait(
            lambda: all(world.said(one, "certificate_renewed") > n for one, n in before.items()),  # noqa: B023
            world.logs,
        )
        passed(3)
    world.client("bank-a").jobs.cancel(job)
    assert await_end(world.client("bank-a"), job, LONG).state == "cancelled"
    assert world.job().state == "succeeded"


def test_an_enclave_that_stood_still_in_mid_upload_blames_nobody(world: World) -> None:
    place = world.place
    before = {path: len(path.read_text()) for path in (place.directory / "logs").iterdir()}
    (place.enclave / "stop").touch()
    request = rehearsal(
        place, BANKS, 1, 60.0, model=ModelSpec(family="rehearsal", parameters=3 << 19)
    )
    client, enclave = world.client("bank-a"), place.processes["enclave"].pid
    job = client.jobs.submit(request).id
    world.wait(lambda: _state(enclave) == "T")
    time.sleep(1.5 * STALL)
    os.kill(enclave, signal.SIGCONT)
    ended = await_end(client, job, LONG)
    dropouts = [event for event in client.jobs.watch(job) if event.kind == "dropouts"]
    assert ended.state == "succeeded", ended.error
    assert dropouts == []
    assert "upload_stalled" not in "".join(
        path.read_text()[before[path] :] for path in (place.directory / "logs").iterdir()
    )


TABLE = [
    (who, ahead)
    for who in ("server", "enclave", "bank-a", "agents", "all")
    for ahead in (-2 * HOUR, 2 * HOUR, 25 * HOUR, 400 * DAY)
]


@pytest.mark.soak
@pytest.mark.parametrize(("who", "ahead"), TABLE)
def test_no_jump_of_any_clock_leaves_a_job_or_a_party_behind(
    world: World, who: str, ahead: int
) -> None:
    """In mid-job and between jobs; where it cannot go on, the job says whose clock."""
    far = ahead > 300 * DAY
    begun: list[float] = []

    def jump() -> None:
        world.set(who, ahead)
        begun.append(time.monotonic())
        if far:  # nobody with a right clock can verify such a server, this test included
            time.sleep(5)
            world.right()

    job = world.job(rounds=4, meanwhile=jump)
    assert job.state == "succeeded" or "clock" in (job.error or {}).get("message", ""), job.error
    assert time.monotonic() - begun[0] < LONG
    if not far and who != "all":
        world.wait(lambda: any(abs(one or 0) > HOUR for one in world.seen()))
        told = world.refusal()
        assert told.code == "clock_skew", told
    world.right()
    assert world.job().state == "succeeded"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
