"""The budget over the real record: failed commits in every order, and real kills."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.private_jobs import private_spec

from secureflow.agent.budgets import Budgets
from secureflow.agent.records import JobRecord, OwnLeaf, RoundRecord
from secureflow.agent.store import Store
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs import TrainingSpec, dump
from secureflow.engines.privacy import Mechanism, epsilon
from secureflow.engines.privacy.accounting import curve, learn
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent import budget_process

SPEC = private_spec({"noise_multiplier": 5.0})
CHARGE = Mechanism("gaussian", 5.0, 1.0, 3)
LIMIT = 3.0
_numbers = count()


class Dataset:
    def __init__(self, privacy: DatasetPrivacy) -> None:
        self.privacy = privacy


class Settings:
    """One dataset of one domain."""

    organisation = "bank-a"

    def __init__(self, domain: str) -> None:
        self.privacy = DatasetPrivacy(domain, LIMIT, 1e-5)

    def dataset(self, name: str) -> Dataset:
        return Dataset(self.privacy)


class Leaves:
    """Keeps leaves as the witness does, in the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def leaf(self, kind: str, job: str, spec: str, document: Any) -> None:
        self._store.add_leaf(OwnLeaf(f"{next(_numbers):064x}", job, kind, {"document": document}))


class Breaking:
    """A connection whose next COMMIT fails: before it took effect, or after."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.fails = ""

    def execute(self, sql: str, *values: Any) -> Any:
        if sql != "COMMIT" or not self.fails:
            return self.real.execute(sql, *values)
        when, self.fails = self.fails, ""
        if when == "after":
            self.real.execute(sql)
        raise sqlite3.OperationalError("disk I/O error")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Bank:
    """An agent's budget over a real store, with jobs that run under it."""

    def __init__(self, store: Store, breaking: Breaking) -> None:
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
        return JobRecord(f"{self.domain}/{job}", "d", dump(SPEC), b"", 0, 0)

    def do(self, deed: str, job: int) -> None:
        """Perform one deed of a job as the agent does."""
        record = self.record(job)
        if deed == "reserve":
            self.budgets._reserve(record, Settings(self.domain).privacy, (CHARGE,))
            return
        with self.store.transaction():
            if deed == "settle":
                self.budgets.settle(record)
                return
            rounds = len(self.store.rounds(record.job))
            if rounds >= 3:
                return
            self.store.add_round(
                RoundRecord(record.job, rounds + 1, "train", "m", "c", 0, 0.0, 0, "")
            )
            self.budgets.spend(record)
        self.released[record.job] = rounds + 1  # only now a byte leaves


@pytest.fixture(scope="module")
def bank_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Breaking]]:
    learn(CHARGE, curve(CHARGE))
    store = Store(tmp_path_factory.mktemp("budget") / "agent.db")
    store._db.execute("PRAGMA synchronous=OFF")  # failures are simulated, not the disk's
    breaking = Breaking(store._db)
    store._db = breaking  # type: ignore[assignment]
    yield store, breaking
    store.close()


_DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "release", "release", "settle", "restart"]),
        st.integers(0, 4),
        st.sampled_from(["", "", "", "before", "after"]),
    ),
    min_size=3,
    max_size=14,
)


def _interleave(bank: Bank, deeds: list[tuple[str, int, str]]) -> None:
    for deed, job, fails in deeds:
        if deed == "restart":
            bank.open()
            continue
        bank.breaking.fails = fails
        try:
            bank.do(deed, job)
        except SecureFlowError as error:
            if error.code not in {"budget_exceeded", "budget_conflict"}:
                raise
        except sqlite3.OperationalError:
            pass
        bank.breaking.fails = ""


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
    left = tuple(Mechanism("gaussian", 5.0, 1.0, n) for n in bank.released.values())
    assert not left or epsilon(left, 1e-5, "rdp-filter") <= LIMIT
    with bank.store.transaction():
        bank.store._write("DELETE FROM leaves")


@settings(max_examples=600, deadline=None)
@given(_DEEDS)
def test_no_order_of_deeds_and_failures_exceeds_the_limit(
    bank_store: tuple[Store, Breaking], deeds: list[tuple[str, int, str]]
) -> None:
    bank = Bank(*bank_store)
    _interleave(bank, deeds)
    _check(bank)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, deadline=None)
@given(_DEEDS)
def test_ten_thousand_orders(
    bank_store: tuple[Store, Breaking], deeds: list[tuple[str, int, str]]
) -> None:
    bank = Bank(*bank_store)
    _interleave(bank, deeds)
    _check(bank)


def _killed_often(directory: Path, kills: int) -> None:
    """Kill a process that reserves and releases, at whatever it does, and look at the record."""
    released: set[str] = set()
    random_ = random.Random(kills)
    for number in range(kills):
        command = [sys.executable, "-m", "tests.unit.agent.budget_process"]
        root = Path(__file__).parents[3]
        child = subprocess.Popen(
            [*command, str(directory), str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PATH": "/usr/bin:/bin"},
        )
        assert child.stdout
        lines = [child.stdout.readline() for _ in range(random_.randrange(1, 25))]
        child.kill()
        lines += child.stdout.readlines()  # what it had said before it died
        child.wait()
        assert lines[0], "the process died by itself"
        released |= {line.split()[1] for line in lines if line.startswith("released ")}
    assert released
    spec, ledger = budget_process.opened(directory)
    assert isinstance(spec, TrainingSpec)
    assert ledger.spent <= budget_process.LIMIT
    states = {r["job"]: r["state"] for r in ledger.reservations()}
    assert {states.get(job) for job in released} == {"committed"}


@pytest.mark.timeout(300)
def test_kills_at_any_time_leave_what_left_charged(tmp_path: Path) -> None:
    _killed_often(tmp_path, 6)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    _killed_often(tmp_path, 100)
