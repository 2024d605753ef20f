"""The budget is never exceeded, whatever fails and restarts in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.privacy.accounting import Charge, Mechanism, epsilon
from secureflow.engines.privacy.budget import BudgetLedger, Limit
from secureflow.kit.errors import SecureFlowError

LIMIT = Limit("adult", "record", 2.0, 1e-6)
SMALL: Charge = (Mechanism("gaussian", 8.0, 1.0, 2),)
LARGE: Charge = (Mechanism("gaussian", 5.0, 1.0, 2), Mechanism("laplace", 20.0))
HUGE: Charge = (Mechanism("gaussian", 0.5),)
CHARGES = (SMALL, LARGE, HUGE)


class Disk:
    """Event storage that can fail before or after the event is durable."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.fail = ""

    def append(self, event: Any) -> None:
        if self.fail == "before":
            raise OSError(5, "no space")
        self.events.append(dict(event))
        if self.fail == "after":
            raise OSError(5, "fsync failed")

    def load(self, limit: Limit = LIMIT) -> BudgetLedger:
        return BudgetLedger(limit, self.events, self.append)


def cost(charge: Any) -> float:
    return epsilon(charge, 1e-6, "rdp-filter")


def test_reserve_commit_void() -> None:
    disk = Disk()
    budget = disk.load()
    assert budget.spent == 0
    after = budget.reserve("r1", "job_1", LARGE)
    assert after == budget.spent == cost(LARGE)
    assert budget.reserve("r1", "job_1", LARGE) == after
    budget.commit("r1")
    budget.reserve("r2", "job_2", SMALL)
    assert budget.spent == cost((*LARGE, *SMALL))
    assert budget.covers("r2", SMALL)
    budget.void("r2")
    assert not budget.covers("r2", SMALL)
    assert budget.spent == after
    with pytest.raises(SecureFlowError) as refused:
        budget.reserve("r3", "job_3", HUGE)
    assert refused.value.code == "budget_exceeded"
    assert "a lower epsilon" in refused.value.hint  # an evaluation has no rounds
    assert disk.load().spent == after
    assert [e["kind"] for e in disk.events] == ["limit", "reserve", "commit", "reserve", "void"]


def test_a_job_that_stopped_early_pays_for_what_it_released() -> None:
    disk = Disk()
    budget = disk.load()
    budget.reserve("r1", "job_1", LARGE)
    less: Charge = (Mechanism("gaussian", 5.0, 1.0, 1),)
    for more in (
        (*LARGE, *SMALL),
        (Mechanism("gaussian", 5.0, 1.0, 3),),
        SMALL,
        (LARGE[1], LARGE[1]),
    ):
        with pytest.raises(SecureFlowError) as refused:
            budget.commit("r1", more)
        assert refused.value.code == "budget_conflict"
    budget.commit("r1", less)
    assert budget.spent == disk.load().spent == cost(less)


def test_unknown_counts_as_spent() -> None:
    disk = Disk()
    disk.load().reserve("r1", "job_1", LARGE)
    again = disk.load()
    assert again.spent == cost(LARGE)
    assert again.report()["reservations"][0]["state"] == "unknown"
    with pytest.raises(SecureFlowError) as refused:
        again.void("r1")
    assert refused.value.code == "budget_conflict"
    # What it really released may still be said.
    again.commit("r1", (LARGE[1],))
    assert again.spent == cost((LARGE[1],))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failed_write_stops_the_ledger_until_it_is_loaded(when: str) -> None:
    disk = Disk()
    budget = disk.load()
    disk.fail = when
    with pytest.raises(OSError, match=r"no space|fsync"):
        budget.reserve("r1", "job_1", LARGE)
    disk.fail = ""
    for action in (
        lambda: budget.reserve("r1", "job_1", LARGE),
        lambda: budget.commit("r1"),
        lambda: budget.void("r1"),
        lambda: budget.reserve("r2", "job_2", SMALL),
    ):
        with pytest.raises(SecureFlowError) as refused:
            action()
        assert refused.value.code == "budget_unsettled"
    assert disk.load().spent == (cost(LARGE) if when == "after" else 0)


def test_a_reservation_pays_for_one_run() -> None:
    """Found by the interleavings: a repeat after the commit ran the job again for free."""
    disk = Disk()
    budget = disk.load()
    budget.reserve("r1", "job_1", SMALL)
    for again, state in ((disk.load(), "unknown"), (budget, "committed")):
        if again is budget:
            budget.commit("r1")
        assert again.state_of("r1") == state
        with pytest.raises(SecureFlowError) as refused:
            again.reserve("r1", "job_1", SMALL)
        assert refused.value.code == "budget_conflict"
    assert budget.state_of("r2") is None


def test_one_name_one_charge() -> None:
    budget = Disk().load()
    budget.reserve("r1", "job_1", SMALL)
    for job, charge in (("job_2", SMALL), ("job_1", LARGE)):
        with pytest.raises(SecureFlowError) as refused:
            budget.reserve("r1", job, charge)
        assert refused.value.code == "budget_conflict"
    budget.void("r1")
    budget.void("r1")
    for action in (
        lambda: budget.reserve("r1", "job_1", SMALL),
        lambda: budget.commit("r1"),
        lambda: budget.commit("r9"),
        lambda: budget.void("r9"),
    ):
        with pytest.raises(SecureFlowError) as refused:
            action()
        assert refused.value.code == "budget_conflict"


def test_the_unit_is_fixed_and_the_limit_may_move() -> None:
    disk = Disk()
    disk.load().reserve("r1", "job_1", LARGE)
    with pytest.raises(SecureFlowError) as refused:
        disk.load(Limit("adult", "party", 2.0, 1e-6))
    assert refused.value.code == "budget_unit_fixed"
    raised = disk.load(Limit("adult", "record", 9.0, 1e-6))
    raised.reserve("r2", "job_2", (Mechanism("gaussian", 1.0),))
    lowered = disk.load(Limit("adult", "record", 0.1, 1e-6))
    with pytest.raises(SecureFlowError) as refused:
        lowered.reserve("r3", "job_3", SMALL)
    assert refused.value.code == "budget_exceeded"


def test_a_restored_backup_is_refused() -> None:
    disk = Disk()
    budget = disk.load()
    budget.reserve("r1", "job_1", SMALL)
    backup = list(disk.events)
    budget.commit("r1")
    leaf = budget.head
    budget.reserve("r2", "job_2", LARGE)
    leaves = [leaf, budget.head, {"domain": "other", "events": 99, "digest": ""}]
    disk.load().reconcile(leaves)
    tampered = [*disk.events]
    tampered[1] = {**tampered[1], "job": "job_9"}
    for older in (backup, disk.events[:-1], [], [*disk.events[:2], *disk.events[3:]], tampered):
        restored = BudgetLedger(LIMIT, older, Disk().append)
        with pytest.raises(SecureFlowError) as refused:
            restored.reconcile(leaves)
        assert refused.value.code == "budget_rolled_back"
    # Continuing a backup differently does not hide it either.
    forked = BudgetLedger(LIMIT, backup, Disk().append)
    forked.commit("r1", SMALL)
    forked.reserve("r3", "job_3", SMALL)
    with pytest.raises(SecureFlowError):
        forked.reconcile(leaves)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"kind": "magic"},
        {"kind": "commit", "id": "r9", "charge": []},
        {"kind": "reserve", "id": "r1", "job": "j", "charge": [{"kind": "gaussian"}]},
    ],
)
def test_unreadable_events_are_no_empty_budget(event: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as refused:
        BudgetLedger(LIMIT, [LIMIT.as_json(), event], Disk().append)
    assert refused.value.code == "budget_corrupt"


def test_the_report_names_each_conversion() -> None:
    budget = Disk().load()
    budget.reserve("r1", "job_1", LARGE)
    figures = budget.report()["epsilon_spent"]
    assert 0 < figures["pld"] <= figures["rdp-cks20"] <= figures["rdp-filter"] == budget.spent


class World:
    """An agent with concurrent jobs; it counts what was *really* released."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.budget = self.disk.load()
        self.running: dict[str, Charge] = {}
        self.released: list[Mechanism] = []

    def step(self, action: str, name: str, charge: Charge, fail: str) -> None:
        self.disk.fail = fail
        try:
            getattr(self, action)(name, charge)
        except OSError:
            self.disk.fail = ""
            self.restart(name, charge)
        except SecureFlowError:
            pass
        self.disk.fail = ""

    def reserve(self, name: str, charge: Charge) -> None:
        self.budget.reserve(name, name, charge)
        self.running[name] = charge

    def run(self, name: str, _: Charge) -> None:
        """Only a job whose reservation was confirmed runs; it releases before it commits."""
        if name in self.running:
            self.released += self.running.pop(name)
            self.budget.commit(name)

    def run_in_part(self, name: str, _: Charge) -> None:
        if name in self.running:
            part = self.running.pop(name)[:1]
            self.released += part
            self.budget.commit(name, part)

    def void(self, name: str, _: Charge) -> None:
        """A job that has not run gives its reservation back."""
        if self.running.pop(name, None) is not None:
            self.budget.void(name)

    def void_wrongly(self, name: str, _: Charge) -> None:
        """A confused caller voids what may have run; only unknown or open states can refuse."""
        if name not in self.running:
            self.budget.void(name)

    def restart(self, _: str, __: Charge) -> None:
        """Jobs that were confirmed may have released everything by now."""
        for charge in self.running.values():
            self.released += charge
        self.running.clear()
        self.budget = self.disk.load()


_ACTIONS = st.tuples(
    st.sampled_from(["reserve"] * 4 + ["run", "run_in_part", "void", "void_wrongly", "restart"]),
    st.sampled_from([f"r{i}" for i in range(6)]),
    st.sampled_from(CHARGES[:2] * 3 + CHARGES),
    st.sampled_from([""] * 6 + ["before", "after"]),
)


_INTERLEAVINGS = st.lists(_ACTIONS, min_size=4, max_size=12)


def within_the_limit(actions: list[tuple[str, str, Charge, str]]) -> None:
    world = World()
    for action in actions:
        world.step(*action)
        really = cost((*world.released, *(m for c in world.running.values() for m in c)))
        assert really <= LIMIT.epsilon
        assert really <= world.budget.spent + 1e-12
    assert world.disk.load().spent <= LIMIT.epsilon


@pytest.mark.slow
@given(_INTERLEAVINGS)
@settings(max_examples=150, deadline=None)
def test_no_interleaving_exceeds_the_limit(actions: list[tuple[str, str, Charge, str]]) -> None:
    """Other ones each time: ten runs try what one run of the long version tries."""
    within_the_limit(actions)


@pytest.mark.soak
@pytest.mark.timeout(0)
@given(_INTERLEAVINGS)
@settings(max_examples=100_000, deadline=None)
def test_no_interleaving_exceeds_the_limit_at_length(
    actions: list[tuple[str, str, Charge, str]],
) -> None:
    within_the_limit(actions)
