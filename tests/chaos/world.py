"""One schedule played in process: a platform, a job, its faults, and what is there afterwards."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyarrow import BufferReader, parquet

from secureflow.agent.record.store import RecordStore
from secureflow.domain.ids import part_id
from secureflow.domain.jobs import JobState
from secureflow.engines.privacy import BudgetLedger, Limit
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from tests.chaos import schedules as s
from tests.chaos.jobs import EVERY, RELEASING
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
    loop.now = template.now
    network = Network(loop, schedule.seed)
    world = World(schedule, template, Platform(directory, loop, network))
    try:
        with in_process(loop, network):
            return loop.run_until_complete(world.play())
    finally:
        loop.close()


def release(template: Template) -> Template:
    """Have a job release a model on a template, which later jobs are about; return it with that."""
    loop = VirtualLoop(RELEASING.name)
    network = Network(loop, RELEASING.name)
    schedule = Schedule(0, RELEASING.name, ())
    world = World(schedule, template, Platform(template.directory, loop, network))
    try:
        with in_process(loop, network):
            seen = loop.run_until_complete(world.play())
    finally:
        loop.close()
    assert seen.succeeded, seen.job
    (model,) = world.released
    return replace(template, model=model, now=loop.now)


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
        self.released: list[str] = []
        """The ids of the job's models."""

    async def play(self) -> Observed:
        """Run the job under its faults until everything is at rest; then look."""
        platform = self.platform
        for name in (SERVER, ENCLAVE, *PARTIES):
            platform.start(name)
        await platform.connected()
        kind = next(kind for kind in EVERY if kind.name == self.schedule.kind)
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
        seen = self.observed
        self.released = await self._look_at(self.job, seen)
        points = seen.job.spec.get("points", ()) if seen.job is not None else ()
        for number in range(1, len(points) + 1):
            part = Observed()
            await self._look_at(part_id(self.job, number), part)
            if part.job is not None:
                seen.parts[number] = part
        seen.working = self.working()

    async def _look_at(self, job: str, seen: Observed) -> list[str]:
        """Observe a job at the centre; return the ids of its models."""
        services = self.platform.centre.services
        seen.job = await self.of(SERVER, services.jobs.get(SCIENTIST, job))
        seen.bundle = await self.of(SERVER, services.audit.bundle(SCIENTIST, job))
        seen.charter = self.template.charter.charter
        return await self.of(SERVER, self._read(services, job, seen)) or []

    async def _read(self, services: Any, job: str, seen: Observed) -> list[str]:
        async with services.begin() as work:
            seen.events = [
                (event.kind, event.data) for event in await work.events.after(job, 0, 5000)
            ]
            seen.journal = [line.seq for line in await work.journal.read(job)]
            page = await work.models.list(job=job, limit=100)
            seen.models = [model.digest for model in page.items]
            return [model.id for model in page.items]

    def _look_at_disks(self) -> None:
        directory, kept = self.platform.directory, set[Path]()
        jobs = {self.job: self.observed}
        jobs |= {part.job.id: part for part in self.observed.parts.values() if part.job is not None}
        for party in PARTIES:
            store = RecordStore(directory / party / RECORD)
            try:
                for job, seen in jobs.items():
                    seen.agents[party] = look_at(store, job)
                kept |= look_at_kept(store, directory / party, self.job, self.observed)
            finally:
                store.close()
        self.observed.files = sorted(
            str(p.relative_to(directory))
            for p in {p for p in directory.rglob("*") if p.is_file()} - kept
            if any(one.partition(".")[0] in jobs for one in p.parts)
            or p.suffix in {".part", ".partial", ".next"}
            or p.parent.name == "incoming"
        )


def look_at_kept(store: RecordStore, home: Path, job: str, seen: Observed) -> set[Path]:
    """Read the files of predictions that an agent committed to; return where they are."""
    agent, found = seen.agents[home.name], set[Path]()
    own, received = store.leaf_of(job, KEPT), store.leaf_of(job, RECEIVED)
    places: list[tuple[str, Path, str]] = []
    if own is not None:
        digest = own.bundle["document"]["file"]
        places.append((home.name, home / "predictions" / f"{job}.parquet", digest))
    if received is not None:
        for sender, one in received.bundle["document"]["files"].items():
            path = home / "predictions" / job / f"{sender}.parquet"
            places.append((sender, path, one["file"]))
    for whose, path, digest in places:
        agent.committed.append(whose)
        if path.is_file() and file_digest(path).hex() == digest:
            found.add(path)
            table = parquet.read_table(BufferReader(path.read_bytes())).to_pydict()
            agent.kept[whose] = hashlib.sha256(json.dumps(table).encode()).hexdigest()
    return found


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
