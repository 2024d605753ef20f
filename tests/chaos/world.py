"""One schedule played in process: a platform, a job, its faults, and what is there afterwards."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from secureflow.agent.record.store import RecordStore
from secureflow.domain.jobs import JobState
from secureflow.engines.privacy import BudgetLedger, Limit
from secureflow.kit.errors import SecureFlowError
from tests.chaos import schedules as s
from tests.chaos.jobs import KINDS
from tests.chaos.network import Network
from tests.chaos.oracle import Agent, Observed
from tests.chaos.platform import (
    BUDGET,
    ENCLAVE,
    PARTIES,
    SCIENTIST,
    SERVER,
    Platform,
    Template,
    in_process,
)
from tests.chaos.schedules import Fault, Schedule
from tests.chaos.virtual import StandstillError, VirtualLoop, fill
from tests.chaos.weather import DOWN, UP

ENDS_WITHIN = 1800.0
"""Virtual seconds after the last fault in which a job has ended."""
SETTLES_WITHIN = 300.0
"""Virtual seconds after that in which everybody is at rest."""
_DEVICES = ("/dev/null", "/dev/pts", "/dev/random", "/dev/urandom")
RECORD = "agent.db"
DATABASES = {SERVER: "secureflow.db"}


def play(schedule: Schedule, template: Template, place: Path) -> Observed:
    """Play a schedule at a place of its own, and tell what came of it."""
    before = Counter(descriptors())
    directory = template.copy(place)
    random.seed(schedule.seed)  # the links' jitter
    try:
        observed = _played(schedule, template, directory)
    finally:
        shutil.rmtree(directory)
    if Counter(descriptors()) - before:
        gc.collect()  # mapped files of killed processes go with their objects
    observed.descriptors = sorted((Counter(descriptors()) - before).elements())
    return observed


def _played(schedule: Schedule, template: Template, directory: Path) -> Observed:
    loop = VirtualLoop(schedule.seed)
    network = Network(loop, schedule.seed)
    world = World(schedule, template, Platform(directory, loop, network))
    try:
        with in_process(loop, network):
            return loop.run_until_complete(world.play())
    finally:
        loop.close()


def descriptors() -> list[str]:
    """Return what this process has open, but for the devices that libraries keep."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was the one that lists them
            found.append(str(entry.readlink()))
    return [one for one in found if not one.startswith(_DEVICES)]


class World:
    """See the module."""

    def __init__(self, schedule: Schedule, template: Template, platform: Platform) -> None:
        self.schedule = schedule
        self.template = template
        self.platform = platform
        self.loop = platform.loop
        self.network = platform.network
        self.job = ""
        self.observed = Observed()

    async def play(self) -> Observed:
        """Run the job under its faults until everything is at rest; then look."""
        platform = self.platform
        for name in (SERVER, ENCLAVE, *PARTIES):
            platform.start(name)
        await platform.connected()
        kind = next(kind for kind in KINDS if kind.name == self.schedule.kind)
        services = await platform.services()
        job = await self.of(SERVER, services.jobs.submit(SCIENTIST, kind.wanted(self.template)))
        assert job is not None
        self.job = job.id
        began = self.loop.now
        faults = [asyncio.create_task(self._befall(fault)) for fault in self.schedule.faults]
        try:
            await self._ended(began)
            await asyncio.wait(faults) if faults else None
            for fault in faults:
                fault.result()
            await self._ended(began)
            self.observed.seconds = self.loop.now - began
            await self._settled()
            await self._look()
        except StandstillError:
            self.observed.standstill.append("nothing is due, and somebody still waits")
        finally:
            for fault in faults:
                fault.cancel()
            await self.platform.end()
        self._look_at_disks()
        return self.observed

    async def of(self, name: str, work: Coroutine[Any, Any, Any], seconds: float = 10.0) -> Any:
        """Have a process do something for us; None where it is gone, stopped, or slow."""
        task = self.platform.lives[name].start(work)
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            task.cancel()
            return None
        if task.cancelled():
            return None
        try:
            return task.result()
        except (SecureFlowError, sqlite3.Error):
            return None

    async def _look_up(self) -> Any:
        if self.platform.centre is None or self.platform.lives[SERVER].stopped:
            return None
        services = self.platform.centre.services
        return await self.of(SERVER, services.jobs.get(SCIENTIST, self.job))

    async def _ended(self, began: float) -> None:
        """Wait for the job's end."""
        limit = began + self.schedule.until + ENDS_WITHIN
        while True:
            job = await self._look_up()
            if job is not None:
                self.observed.job = job
                if job.state.final or job.state is JobState.PAUSED:
                    return
            if self.loop.now > limit:
                self.observed.standstill += self.waiting()
                return
            await asyncio.sleep(2.0)

    async def _settled(self) -> None:
        """Wait until everybody is connected again, nobody works, and all know how it ended."""
        limit = self.loop.now + SETTLES_WITHIN
        while self.loop.now < limit:
            services = self.platform.centre.services
            connected = services.courier.connected == len(self.platform.lives) - 1
            resting = connected and not self.working()
            if resting and not self.untold():
                return
            await asyncio.sleep(5.0 if resting else 1.0)
        if services.courier.connected != len(self.platform.lives) - 1:
            self.observed.standstill.append(f"{services.courier.connected} links stand again")
        self.observed.standstill += self.working()

    def untold(self) -> bool:
        """Tell whether a party has something to ask of the job's end."""
        return any(_asks(self.platform.directory / party / RECORD) for party in PARTIES)

    def working(self) -> list[str]:
        """Return the requests and jobs that somebody still works on."""
        names = ("job ", "request ")
        return [
            f"{name}: {task.get_name()}"
            for name, life in self.platform.lives.items()
            for task in life.busy()
            if task.get_name().startswith(names)
        ]

    def waiting(self) -> list[str]:
        """Return what each process waits for, for people."""
        return [
            f"{name}: {task.get_name()} at {_where(task)}"
            for name, life in self.platform.lives.items()
            for task in life.busy()
            if task.get_name().startswith(("job ", "request "))
        ] or ["nobody drives the job"]

    # What goes wrong.

    async def _befall(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        how = {
            s.KILL: self._kill, s.STOP: self._stop, s.DISK: self._fill, s.LOCK: self._lock,
            s.CUT: self._cut, s.HOLE: self._hole, s.HALF: self._half, s.SLOW: self._slow,
            s.CLOCK: self._clock, s.CANCEL: self._cancel, s.MUTE: self._mute,
        }  # fmt: skip
        await how[fault.what](fault)

    async def _kill(self, fault: Fault) -> None:
        if self.platform.lives[fault.whom].dead:
            return
        await self.platform.kill(fault.whom)
        await asyncio.sleep(fault.seconds)
        self.platform.start(fault.whom)

    async def _stop(self, fault: Fault) -> None:
        life = self.platform.lives[fault.whom]
        if life.dead or life.stopped:
            return
        life.stop()
        await asyncio.sleep(fault.seconds)
        if not life.dead:
            life.resume()

    async def _fill(self, fault: Fault) -> None:
        life = self.platform.lives[fault.whom]
        life.disk_full = True
        for connection in life.connections:
            fill(connection, full=True)
        await asyncio.sleep(fault.seconds)
        life.disk_full = False
        for connection in life.connections:
            fill(connection, full=False)

    async def _lock(self, fault: Fault) -> None:
        path = self.platform.directory / fault.whom / DATABASES.get(fault.whom, RECORD)
        other = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            other.close()
            return  # in the middle of a write: the next schedule meets another moment
        await asyncio.sleep(fault.seconds)
        other.close()

    async def _cut(self, fault: Fault) -> None:
        self.network.cut(*fault.link, fault.seconds)
        await asyncio.sleep(fault.seconds)

    async def _hole(self, fault: Fault) -> None:
        self.network.hole(*fault.link, fault.seconds, (UP, DOWN))
        await asyncio.sleep(fault.seconds)

    async def _half(self, fault: Fault) -> None:
        way = UP if fault.at * 1000 % 2 < 1 else DOWN
        self.network.hole(*fault.link, fault.seconds, (way,))
        await asyncio.sleep(fault.seconds)

    async def _slow(self, fault: Fault) -> None:
        self.network.slow(*fault.link, fault.seconds, fault.amount)
        await asyncio.sleep(fault.seconds)

    async def _mute(self, fault: Fault) -> None:
        self.network.mute(*fault.link, fault.seconds)
        await asyncio.sleep(fault.seconds)

    async def _clock(self, fault: Fault) -> None:
        name = fault.whom
        for amount, wait in ((int(fault.amount), fault.seconds), (0, 0.0)):
            self.platform.shifts[name] = self.platform.lives[name].shift = amount
            await asyncio.sleep(wait)

    async def _cancel(self, fault: Fault) -> None:
        del fault
        while True:
            centre = self.platform.centre
            if centre is not None:
                done = await self.of(SERVER, centre.services.jobs.cancel(SCIENTIST, self.job))
                if done is not None:
                    return
            job = await self._look_up()
            if job is not None and job.state.final:
                return
            await asyncio.sleep(0.5)

    # What is there afterwards.

    async def _look(self) -> None:
        seen, services = self.observed, self.platform.centre.services
        seen.job = await self.of(SERVER, services.jobs.get(SCIENTIST, self.job))
        seen.bundle = await self.of(SERVER, services.audit.bundle(SCIENTIST, self.job))
        seen.charter = self.template.charter.charter
        await self.of(SERVER, self._read(services))
        seen.working = self.working()

    async def _read(self, services: Any) -> None:
        async with services.begin() as work:
            self.observed.events = [
                (event.kind, event.data) for event in await work.events.after(self.job, 0, 5000)
            ]
            self.observed.journal = [line.seq for line in await work.journal.read(self.job)]
            page = await work.models.list(job=self.job, limit=100)
            self.observed.models = [model.digest for model in page.items]

    def _look_at_disks(self) -> None:
        for party in PARTIES:
            store = RecordStore(self.platform.directory / party / RECORD)
            try:
                self.observed.agents[party] = look_at(store, self.job)
            finally:
                store.close()
        names = [p for p in self.platform.directory.rglob("*") if p.is_file()]
        self.observed.files = sorted(
            str(p.relative_to(self.platform.directory))
            for p in names
            if self.job in p.parts or p.suffix in {".part", ".partial", ".next"}
            or p.parent.name == "incoming"
        )  # fmt: skip


def look_at(store: RecordStore, job: str) -> Agent:
    """Read what an agent keeps of a job."""
    record = store.job(job)
    events = store.budget_events("customers")
    limits = [event for event in events if event["kind"] == "limit"]
    spent, states = 0.0, []
    if limits:
        limit = Limit("customers", "record", BUDGET, 1e-5)
        ledger = BudgetLedger(limit, events, lambda _: None)
        spent = ledger.spent
        states = [one["state"] for one in ledger.reservations() if one["job"] == job]
    return Agent(
        outcome=None if record is None else record.outcome or "running",
        secret=bool(record and record.secret),
        leaves=len(store.leaves(job)),
        unproved=len(store.unproved(job)),
        spent=spent,
        reservations=states,
        alarm=store.fact("alarm"),
        sessions=len(store._all("SELECT 1 FROM sessions WHERE job = ?", job)),
    )


def _asks(record: Path) -> bool:
    store = RecordStore(record)
    try:
        return bool(store.unended())
    finally:
        store.close()


def _where(task: asyncio.Task[Any]) -> str:
    """Return the innermost place of the product at which a task waits."""
    at, waited = "?", task.get_coro()
    while waited is not None:
        frame = getattr(waited, "cr_frame", None) or getattr(waited, "ag_frame", None)
        if frame is not None and "secureflow" in frame.f_code.co_filename:
            at = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        waited = getattr(waited, "cr_await", None) or getattr(waited, "ag_await", None)
    return at
