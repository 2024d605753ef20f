"""The budget over the real record: failed commits in every order, and real kills."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.private_jobs import private_spec

from secureflow.agent.owner.budgets import Budgets
from secureflow.agent.record.records import JobRecord, OwnLeaf, RoundRecord
from secureflow.agent.record.store import RecordStore
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.privacy import Mechanism, epsilon
from secureflow.engines.privacy.accounting import curve, learn
from secureflow.engines.training.private import charge
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent import budget_process

LIMIT = 3.0
PLANS = ((5.0, 3), (5.0, 1), (3.0, 2), (8.0, 5), (2.0, 1))
"""Each job's noise multiplier and rounds: most pairs fit into the limit, all together never do."""
SPECS = tuple(
    private_spec({"noise_multiplier": noise}, plan={"rounds": rounds, "validation": 0.0})
    for noise, rounds in PLANS
)
_numbers = count()


class Dataset:
    def __init__(self, privacy: DatasetPrivacy) -> None:
        self.privacy = privacy


class Settings:
    """One dataset of one domain."""

    organisation = "bank-a"

    def __init__(self, domain: str) -> None:
        self.privacy = DatasetPrivacy(domain, LIMIT, 1e-5)
        self.datasets = (Dataset(self.privacy),)

    def dataset(self, name: str) -> Dataset:
        return Dataset(self.privacy)


class Leaves:
    """Keeps leaves as the witness does, in the caller's transaction."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def leaf(self, kind: str, job: str, spec: str, document: Any) -> None:
        self._store.add_leaf(OwnLeaf(f"{next(_numbers):064x}", job, kind, {"document": document}))


class Breaking:
    """A connection whose next COMMIT fails: before it took effect, or after, or by chance."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.fails = ""
        self.chance: random.Random | None = None

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT" and self.chance is not None:
            self.fails = self.chance.choice(["", "", "", "before", "after"])
        if sql != "COMMIT" or not self.fails:
            return self.real.execute(sql, *values)
        when, self.fails = self.fails, ""
        if when == "after":
            self.real.execute(sql)
        raise sqlite3.OperationalError("disk I/O error")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def spec_of(job: int) -> TrainingSpec:
    return SPECS[job % len(SPECS)]


class Bank:
    """An agent's budget over a real store, with jobs that run under it."""

    def __init__(self, store: RecordStore, breaking: Breaking) -> None:
        self.store, self.breaking = store, breaking
        self.domain = f"domain-{next(_numbers)}"
        self.released: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        """Start the process (again)."""
        settings: Any = Settings(self.domain)
        leaves: Any = Leaves(self.store)
        nothing: Any = None
        self.budgets = Budgets(settings, self.store, leaves, "", nothing, nothing)

    def record(self, job: int) -> JobRecord:
        return JobRecord(f"{self.domain}/{job}", "d", dump(spec_of(job)), b"", 0, 0)

    def do(self, action: str, job: int) -> None:
        """Perform one action of a job as the agent does."""
        record = self.record(job)
        if action == "reserve":
            self.budgets._reserve(record, spec_of(job))
            return
        with self.store.transaction():
            if action == "settle":
                self.budgets.settle(record)
                return
            rounds = len(self.store.rounds(record.job))
            if rounds >= spec_of(job).plan.rounds:
                return
            self.store.add_round(
                RoundRecord(record.job, rounds + 1, "train", "m", "c", 0, 0.0, 0, "")
            )
            self.budgets.spend(record)
        self.released[record.job] = rounds + 1  # only now a byte leaves


@pytest.fixture(scope="module")
def bank_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RecordStore, Breaking]]:
    for spec in SPECS:
        (mechanism,) = charge(spec)
        learn(mechanism, curve(mechanism))
    store = RecordStore(tmp_path_factory.mktemp("budget") / "agent.db")
    store._db.execute("PRAGMA synchronous=OFF")  # failures are simulated, not the disk's
    breaking = Breaking(store._db)
    store._db = breaking  # type: ignore[assignment]
    yield store, breaking
    store.close()


_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "release", "release", "settle", "restart"]),
        st.integers(0, 4),
        st.sampled_from(["", "", "", "before", "after"]),
    ),
    min_size=3,
    max_size=14,
)


def _interleave(bank: Bank, actions: list[tuple[str, int, str]]) -> None:
    for action, job, fails in actions:
        if action == "restart":
            bank.open()
            continue
        bank.breaking.fails = fails
        try:
            bank.do(action, job)
        except SecureFlowError as error:
            if error.code not in {"budget_exceeded", "budget_conflict"}:
                raise
        except sqlite3.OperationalError:
            pass
        bank.breaking.fails = ""
        assert not bank.released or epsilon(_left(bank), 1e-5, "rdp-filter") <= LIMIT


def _left(bank: Bank) -> tuple[Mechanism, ...]:
    """Return what the releases that left cost together."""
    return tuple(
        Mechanism("gaussian", PLANS[int(job.split("/")[1]) % len(PLANS)][0], 1.0, rounds)
        for job, rounds in bank.released.items()
    )


def _check(bank: Bank) -> None:
    """Everything that left is charged, and the charge is within the limit."""
    bank.open()
    policy = Settings(bank.domain).privacy
    with bank.store.transaction():
        ledger = bank.budgets._ledger(policy)
        assert ledger.spent <= LIMIT
        charged = {r["job"]: sum(m["count"] for m in r["charge"]) for r in ledger.reservations()}
    for job, rounds in bank.released.items():
        assert charged[job] >= rounds
    left = _left(bank)
    assert not left or epsilon(left, 1e-5, "rdp-filter") <= LIMIT
    with bank.store.transaction():
        bank.store._write("DELETE FROM leaves")


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(_ACTIONS)
def test_no_order_of_actions_and_failures_exceeds_the_limit(
    bank_store: tuple[RecordStore, Breaking], actions: list[tuple[str, int, str]]
) -> None:
    bank = Bank(*bank_store)
    _interleave(bank, actions)
    _check(bank)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, deadline=None)
@given(_ACTIONS)
def test_ten_thousand_orders(
    bank_store: tuple[RecordStore, Breaking], actions: list[tuple[str, int, str]]
) -> None:
    bank = Bank(*bank_store)
    _interleave(bank, actions)
    _check(bank)


def _at_once(bank: Bank, seed: int, jobs: int = 10) -> None:
    """Run jobs side by side, each in a thread of its own as the agent's verbs do, on a bad disk."""
    start = threading.Barrier(jobs)
    bank.breaking.chance = random.Random(seed)

    def run(job: int) -> None:
        start.wait()
        for action in ("reserve", *["release"] * 5, "settle"):
            for _ in range(3):  # whoever asks asks again
                try:
                    bank.do(action, job)
                except SecureFlowError as error:
                    if error.code not in {"budget_exceeded", "budget_conflict"}:
                        raise
                except sqlite3.OperationalError:
                    continue
                break

    with ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(run, job) for job in range(jobs)]:
            done.result()
    bank.breaking.chance = None
    _check(bank)


@pytest.fixture
def switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_jobs_at_once_on_a_failing_disk(bank_store: tuple[RecordStore, Breaking]) -> None:
    released = 0
    for seed in range(10):
        bank = Bank(*bank_store)
        _at_once(bank, seed)
        released += len(bank.released)
    assert released > 10  # it is no test of refusals alone


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("switching")
def test_many_jobs_at_once(bank_store: tuple[RecordStore, Breaking]) -> None:
    for seed in range(1000):
        _at_once(Bank(*bank_store), seed)


def _killed_often(directory: Path, kills: int) -> None:
    """Kill a process that reserves and releases, at whatever it does, and look at the record."""
    released: set[str] = set()
    random_ = random.Random(kills)
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.unit.agent.budget_process", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PATH": "/usr/bin:/bin"},
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        for number in range(kills):
            parent.stdin.write(f"{number}\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            lines = [parent.stdout.readline() for _ in range(random_.randrange(1, 25))]
            assert "ended\n" not in lines, "the process died by itself"
            os.kill(child, signal.SIGKILL)
            lines += iter(parent.stdout.readline, "ended\n")  # what it had said before it died
            released |= {line.split()[1] for line in lines if line.startswith("released ")}
    assert released
    spec, ledger = budget_process.opened(directory)
    assert isinstance(spec, TrainingSpec)
    assert ledger.spent <= budget_process.LIMIT
    states = {r["job"]: r["state"] for r in ledger.reservations()}
    assert {states.get(job) for job in released} == {"committed"}


@pytest.mark.slow
def test_kills_at_any_time_leave_what_left_charged(tmp_path: Path) -> None:
    _killed_often(tmp_path, 6)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    _killed_often(tmp_path, 100)
