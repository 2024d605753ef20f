"""A sweep's reservation over the real record, with failed commits and restarts in every order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.private_jobs import private_spec

from secureflow.agent.owner.budgets import Budgets
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.agent.record.store import RecordStore
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.privacy import Mechanism, epsilon
from secureflow.engines.privacy.accounting import curve, learn
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_budget_crashes import LIMIT, Breaking, Leaves, Settings

PLANS = ((9.0, 3), (9.0, 1), (12.0, 2))
"""Each point's noise multiplier and rounds; together they fit into the limit."""
_numbers = count()


def sweep() -> SweepSpec:
    training = dump(private_spec({"noise_multiplier": 9.0}, plan={"rounds": 3, "validation": 0.0}))
    named = ("project", "name", "purpose", "submitter", "roster")
    points = [{"privacy.noise_multiplier": noise, "plan.rounds": rounds} for noise, rounds in PLANS]
    common = {name: training["privacy"][name] for name in ("delta", "unit", "noise")}
    shared = {name: training[name] for name in named}
    return parse(SweepSpec, {**shared, "training": training, "points": points, "privacy": common})


SPEC = sweep()


class Bank:
    """An agent's budget over a real store, with one sweep and its parts under it."""

    def __init__(self, store: RecordStore, breaking: Breaking) -> None:
        self.store, self.breaking = store, breaking
        number = next(_numbers)
        self.domain, self.whole = f"swept-{number}", f"job_1m8nje{number:014d}"
        self.parts = SPEC.parts(self.whole)
        self.released = [0] * len(self.parts)
        self.settled: set[int] = set()
        self.open()

    def open(self) -> None:
        """Start the process (again)."""
        given: Any = Settings(self.domain)
        leaves: Any = Leaves(self.store)
        nothing: Any = None
        self.budgets = Budgets(given, self.store, leaves, "", nothing, nothing)

    def record(self, number: int) -> tuple[JobRecord, Any]:
        spec = SPEC if number < 0 else self.parts[number]
        job = self.whole if number < 0 else part_id(self.whole, number + 1)
        return JobRecord(job, "d", dump(spec), b"", 0, 0), spec

    def do(self, action: str, number: int) -> None:
        """Perform one action as the agent does."""
        job, spec = self.record(number)
        if action == "reserve":
            self.budgets._reserve(job, spec)
            return
        with self.store.transaction():
            if action == "settle":
                self.budgets.settle(job)
                return
            rounds = len(self.store.rounds(job.job))
            if rounds >= spec.plan.rounds:
                return
            self.store.add_round(RoundRecord(job.job, rounds + 1, "train", "m", "c", 0, 0.0, 0, ""))
            self.budgets.spend(job)
        self.released[number] = rounds + 1  # only now a byte leaves

    def tried(self, action: str, number: int, fails: str = "") -> bool:
        self.breaking.fails = fails
        try:
            self.do(action, number)
        except SecureFlowError as error:
            if error.code not in {"budget_exceeded", "budget_conflict"}:
                raise
            return False
        except sqlite3.OperationalError:
            return False
        else:
            return True
        finally:
            self.breaking.fails = ""

    def left(self) -> tuple[Mechanism, ...]:
        """Return what the releases that left cost together."""
        return tuple(
            Mechanism("gaussian", PLANS[number][0], 1.0, rounds)
            for number, rounds in enumerate(self.released)
            if rounds
        )

    def held(self) -> tuple[float, dict[str, int]]:
        """Return what is spent, and how many rounds are charged to each job."""
        with self.store.transaction():
            ledger = self.budgets._ledger(Settings(self.domain).privacy)
            held = [one for one in ledger.reservations() if one["state"] != "voided"]
            charges = {one["job"]: one["charge"] for one in held}
            return ledger.spent, {job: sum(m["count"] for m in one) for job, one in charges.items()}


@pytest.fixture(scope="module")
def bank_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RecordStore, Breaking]]:
    for noise, _ in PLANS:
        single = Mechanism("gaussian", noise)
        learn(single, curve(single))
    store = RecordStore(tmp_path_factory.mktemp("swept") / "agent.db")
    store._db.execute("PRAGMA synchronous=OFF")  # failures are simulated, not the disk's
    breaking = Breaking(store._db)
    store._db = breaking  # type: ignore[assignment]
    yield store, breaking
    store.close()


_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "release", "release", "settle", "restart"]),
        st.integers(-1, len(PLANS) - 1),
        st.sampled_from(["", "", "", "before", "after"]),
    ),
    max_size=16,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(_ACTIONS)
def test_no_order_of_actions_and_failures_charges_a_part_twice_or_not_at_all(
    bank_store: tuple[RecordStore, Breaking], actions: list[tuple[str, int, str]]
) -> None:
    bank = Bank(*bank_store)
    first = bank.tried("reserve", -1)
    assert first
    whole, _ = bank.held()
    for action, number, fails in actions:
        if action == "restart":
            bank.open()
        elif (action, number) != ("release", -1):
            bank.tried(action, number, fails)
        spent, charged = bank.held()
        assert spent <= min(LIMIT, whole + 1e-9)
        for at, rounds in enumerate(bank.released):
            assert charged.get(part_id(bank.whole, at + 1), 0) >= rounds
    assert not bank.left() or epsilon(bank.left(), 1e-5, "rdp-filter") <= whole + 1e-9
    bank.open()
    for number in (*range(len(PLANS)), -1):
        bank.tried("settle", number)
    spent, charged = bank.held()
    assert charged.get(bank.whole, 0) == 0  # what nobody drew is nobody's
    with bank.store.transaction():
        bank.store._write("DELETE FROM leaves")


def test_a_sweep_that_ran_as_planned_costs_what_was_reserved(
    bank_store: tuple[RecordStore, Breaking],
) -> None:
    bank = Bank(*bank_store)
    assert bank.tried("reserve", -1)
    whole, _ = bank.held()
    for number, (_, rounds) in enumerate(PLANS):
        assert bank.tried("reserve", number)
        for _ in range(rounds):
            assert bank.tried("release", number)
        assert bank.tried("settle", number)
    assert bank.tried("settle", -1)
    assert bank.held()[0] == pytest.approx(whole)
    assert bank.released == [3, 1, 2]
    with bank.store.transaction():
        bank.store._write("DELETE FROM leaves")
