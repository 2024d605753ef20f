"""One schedule on real processes: killed, stopped, full disks, proxies, wrong clocks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from secureflow.agent.record.store import RecordStore
from secureflow.demo.platform import MODULE, Platform, free_ports
from secureflow.domain.charter import SignedCharter
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.statistics import StatisticsLimits, StatisticsQuery
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.domain.specs.training import FeatureSpec, Release, TrainingPlan
from secureflow.domain.specs.updatelimits import Limits
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client, StatisticsRequest, TrainingRequest
from tests.chaos import schedules as s
from tests.chaos.jobs import KINDS, PATIENCE, Kind
from tests.chaos.oracle import Observed
from tests.chaos.platform import (
    ALLOW,
    COLUMNS,
    ENCLAVE,
    PARTIES,
    PRIVACY,
    PURPOSE,
    SERVER,
    write_rows,
)
from tests.chaos.proxies import Proxies
from tests.chaos.schedules import Fault, Schedule
from tests.chaos.weather import DOWN, UP
from tests.chaos.world import look_at
from tests.contract.database.postgres import Cluster
from tests.nursery import Born, working
from tests.peers.clocks import Clocks
from tests.peers.database_faults import locked, restart
from tests.peers.full_disk import SmallDisk
from tests.survival.world import ROOT, await_end

ENDS_WITHIN = 150.0
"""Real seconds after the last fault in which a job has ended."""
SETTLES_WITHIN = 60.0
TOLD = ("-m", "tests.chaos.entry")
DISKS = (SERVER, "bank-b")
"""Whose folders lie on small disks, where a schedule fills one."""
MEBIBYTES = 96


class Proxied(Platform):
    """A platform whose links all pass through proxies of the test's."""

    proxies: Proxies

    def _make_server(self) -> None:
        super()._make_server()
        link = int(yaml.safe_load((self.server / "server.yaml").read_text())["link"]["port"])
        *ports, uplink, carried = free_ports(len(PARTIES) + 3)
        self.links = {
            name: self.proxies.add(f"{name} > {SERVER}", link, port).address
            for name, port in zip((*PARTIES, ENCLAVE), ports, strict=True)
        }
        public = self.proxies.add(f"> {ENCLAVE}", uplink, carried).address
        place = {"bind": "127.0.0.1", "port": uplink, "public": public}
        self.settings = {"enclave": {"server": self.links[ENCLAVE], "uplink": place}}

    def _agent_settings(self, owner: Any) -> dict[str, Any]:
        return {**super()._agent_settings(owner), "link": self.links[owner.party]}


class Machines:
    """The processes of a platform, and what a test does to them."""

    def __init__(self, platform: Proxied, cluster: Cluster | None) -> None:
        self.platform = platform
        self.cluster = cluster
        self.clocks: Clocks | None = None
        self.disks: dict[str, SmallDisk] = {}
        self._down: set[str] = set()
        self._calm: dict[str, Observed] = {}
        self.charter = SignedCharter.from_json(
            json.loads(platform.charter_file().read_text())
        ).charter

    def calm(self, kind: str, seen: Observed) -> Observed:
        """Return the undisturbed job of a kind, run when it is first asked for.

        Under noise no job is like another: what was seen is compared with itself.
        """
        if next(one for one in KINDS if one.name == kind).noised:
            return seen
        if kind not in self._calm:
            self._calm[kind] = self.play(Schedule(0, kind, ()))
        return self._calm[kind]

    def together(self, *twice: str) -> list[tuple[str, Any]]:
        """Run every kind of job, some twice, all at once; return each with how it ended."""
        with self.platform.client("bank-a") as client:
            kinds = [kind for kind in KINDS for _ in range(1 + (kind.name in twice))]
            jobs = [client.jobs.submit(request(self.platform, kind)).id for kind in kinds]
            ended = [await_end(client, job, ENDS_WITHIN) for job in jobs]
        return [(kind.name, one) for kind, one in zip(kinds, ended, strict=True)]

    def play(self, schedule: Schedule) -> Observed:
        """Run a job under a schedule, and tell what is there when everything is at rest."""
        over = threading.Event()
        supervisor = threading.Thread(target=self._supervise, args=(over,))
        supervisor.start()
        try:
            return self._play(schedule)
        finally:
            over.set()
            supervisor.join()

    def _supervise(self, over: threading.Event) -> None:
        """Start again what ended by itself (no room to start), as a machine's supervisor does."""
        while not over.wait(2.0):
            for name, process in self.platform.processes.items():
                if name not in self._down and not process.alive:
                    self.platform.start(name, wait=False)

    def _play(self, schedule: Schedule) -> Observed:
        seen = Observed(charter=self.charter)
        kind = next(kind for kind in KINDS if kind.name == schedule.kind)
        with self.platform.client("bank-a") as client:
            began, job = time.monotonic(), client.jobs.submit(request(self.platform, kind)).id
            faults = [threading.Thread(target=self._befall, args=(f, job)) for f in schedule.faults]
            for fault in faults:
                fault.start()
            for fault in faults:
                fault.join()
            try:
                seen.job = await_end(client, job, ENDS_WITHIN)
            except TimeoutError:
                seen.job = client.jobs.get(job)
                seen.standstill.append(f"{job} has not ended")
            seen.seconds = time.monotonic() - began
            self._settle(client, seen, job)
            self._look(client, seen, job)
        return seen

    # What goes wrong.

    def _befall(self, fault: Fault, job: str) -> None:
        time.sleep(fault.at)
        with self._faults(fault, job):
            time.sleep(fault.seconds)

    def _faults(self, fault: Fault, job: str) -> contextlib.AbstractContextManager[None]:
        match fault.what:
            case s.KILL:
                return self._killed(fault.whom)
            case s.STOP:
                return self._stopped(fault.whom)
            case s.DISK:
                return self._filled(fault.whom)
            case s.LOCK:
                return self._locked(fault)
            case s.CLOCK:
                return self._jumped(fault)
            case s.CANCEL:
                return self._cancelled(job)
            case _:
                self._weather(fault)
                return contextlib.nullcontext()

    @contextlib.contextmanager
    def _killed(self, name: str) -> Iterator[None]:
        if name in self._down:
            yield
            return
        self._down.add(name)
        self.platform.processes[name].kill()  # noted before: the supervisor leaves it alone
        yield
        self.platform.start(name, wait=False)
        self._down.discard(name)

    @contextlib.contextmanager
    def _stopped(self, name: str) -> Iterator[None]:
        pid = self.platform.processes[name].pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        yield
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def _filled(self, name: str) -> Iterator[None]:
        self.disks[name].fill()
        yield
        self.disks[name].free()

    @contextlib.contextmanager
    def _locked(self, fault: Fault) -> Iterator[None]:
        """Lock the database for a time; a PostgreSQL goes away for it."""
        if self.cluster is not None:
            restart(self.cluster, fault.seconds)
            yield
            return
        with locked(self._seen(SERVER, "secureflow.db")):
            yield

    @contextlib.contextmanager
    def _jumped(self, fault: Fault) -> Iterator[None]:
        assert self.clocks is not None
        self.clocks.set(fault.whom, int(fault.amount))
        yield
        self.clocks.set(fault.whom, 0)

    @contextlib.contextmanager
    def _cancelled(self, job: str) -> Iterator[None]:
        with self.platform.client("bank-a") as client, contextlib.suppress(SecureFlowError):
            client.jobs.cancel(job)
        yield

    def _weather(self, fault: Fault) -> None:
        one, other = fault.link
        way = f"> {ENCLAVE}" if other == ENCLAVE else f"{one} > {other}"
        proxies = self.platform.proxies
        match fault.what:
            case s.CUT:
                proxies.cut(way, fault.seconds)
            case s.HOLE:
                proxies.hole(way, fault.seconds, (UP, DOWN))
            case s.HALF:
                proxies.hole(way, fault.seconds, (UP if fault.at * 1000 % 2 < 1 else DOWN,))
            case s.SLOW:
                proxies.slow(way, fault.seconds, min(fault.amount, 0.5))

    # What is there afterwards.

    def _seen(self, name: str, file: str) -> Path:
        path = self.platform.directory / name / file
        return self.disks[name].inside(path) if name in self.disks else path

    def _record(self, party: str) -> Path:
        """Return an agent's record; of one on a small disk a copy, for SQLite follows /proc's links
        out of it.
        """
        record = self._seen(party, "agent.db")
        if party not in self.disks:
            return record
        copies = self.platform.directory / f"{party}.seen"
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        for path in record.parent.glob("agent.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copies)
        return copies / "agent.db"

    def _settle(self, client: Client, seen: Observed, job: str) -> None:
        """Wait until everybody is connected, no agent has a worker, and all know how it ended."""
        deadline = time.monotonic() + SETTLES_WITHIN
        while time.monotonic() < deadline:
            status = {one.party: one.connected for one in client.agents.links()}
            away = [party for party, connected in status.items() if not connected]
            seen.working = self._workers()
            if not away and not seen.working and not self._untold(job):
                return
            time.sleep(0.1)
        seen.standstill += [f"{party} is not connected" for party in away]

    def _untold(self, job: str) -> bool:
        """Tell whether an agent goes on with the job: it asks now and then how it ended."""
        for party in PARTIES:
            store = RecordStore(self._record(party))
            try:
                if store.is_running(job):
                    return True
            finally:
                store.close()
        return False

    def _workers(self) -> list[str]:
        """Return the children of agents: each computes for a job."""
        found = []
        for party in PARTIES:
            pid = self.platform.processes[party].pid
            found += [f"{party}: process {child}" for child in working(pid)]
        return found

    def _look(self, client: Client, seen: Observed, job: str) -> None:
        seen.job = client.jobs.get(job)
        seen.bundle = client.jobs.bundle(job)
        seen.events = [(event.kind, dict(event.data)) for event in client.jobs.watch(job)]
        seen.models = [model.digest for model in client.models.list(job=job)]
        for party in PARTIES:
            store = RecordStore(self._record(party))
            try:
                seen.agents[party] = look_at(store, job)
            finally:
                store.close()
        seen.files = sorted(
            f"{name}/{path.relative_to(home)}"
            for name in (SERVER, ENCLAVE, *PARTIES)
            for home in [self._seen(name, "")]
            for path in home.rglob("*")
            if path.is_file() and (job in path.parts or path.suffix in {".part", ".partial"})
        )


def request(platform: Platform, kind: Kind) -> Any:
    """Return what the SDK submits for a kind of job."""
    parts, ids = kind.parts, tuple(owner.dataset_id for owner in platform.parties.values())
    facts = {
        "project": platform.project,
        "name": kind.name,
        "purpose": PURPOSE,
        "datasets": ids,
    }
    if kind.kind == "statistics":
        return StatisticsRequest(
            **facts,
            queries=tuple(parse(StatisticsQuery, one, "spec") for one in parts["queries"]),
            privacy=parse(NoiseRequest, parts["privacy"], "spec"),
            limits=StatisticsLimits(PATIENCE),
        )  # fmt: skip
    shapes: dict[str, Any] = {
        "features": FeatureSpec, "plan": TrainingPlan, "privacy": Privacy, "release": Release,
    }  # fmt: skip
    typed = {name: parse(shapes[name], parts[name], "spec") for name in shapes if name in parts}
    return TrainingRequest(
        **facts, **typed, protection=parts["protection"], limits=Limits(patience_seconds=PATIENCE)
    )


@contextlib.contextmanager
def machines(
    directory: Path, schedules: list[Schedule], cluster: Cluster | None = None, database: str = ""
) -> Iterator[Machines]:
    """Build a platform that every one of the schedules can be played on."""
    whats = {(fault.what, fault.whom) for one in schedules for fault in one.faults}
    wrong = sorted(whom for what, whom in whats if what == s.CLOCK)  # a look at them costs more
    with ExitStack() as stack:
        proxies = Proxies()
        stack.callback(proxies.stop)
        moved = Clocks(directory / "clocks") if wrong else None
        datasets = {}
        (directory / "data").mkdir(parents=True)
        for party in PARTIES:
            path = directory / "data" / f"{party}.csv"
            write_rows(path, party)
            declared = {"name": "customers", "path": str(path), "format": "csv",
                        "columns": COLUMNS, "privacy": PRIVACY}  # fmt: skip
            datasets[party] = parse(DatasetConfig, declared, "dataset")
        built = Proxied(
            directory / "p", {party: party.title() for party in PARTIES}, datasets, policy=ALLOW,
            entry={"agent": TOLD, **({ENCLAVE: TOLD} if ENCLAVE in wrong else {})},
            database=database,
            environment={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OPENBLAS_NUM_THREADS": "1"},
            own={name: moved.environment(name) for name in wrong} if moved else {}, child=Born,
        )  # fmt: skip
        built.proxies = proxies
        stack.enter_context(built)
        built.build()
        made = Machines(built, cluster)
        made.clocks = moved
        for name in sorted({whom for what, whom in whats if what == s.DISK}):
            _put_on_a_disk(made, name, stack)
        yield made


def _put_on_a_disk(made: Machines, name: str, stack: ExitStack) -> None:
    platform = made.platform
    platform.processes[name].kill()
    disk = made.disks[name] = SmallDisk(platform.directory / name, MEBIBYTES)
    stack.enter_context(disk)
    platform.entry[name] = disk.entry(TOLD if name in PARTIES else MODULE)
    disk.start(platform, name)
    stack.callback(platform.processes[name].kill)
