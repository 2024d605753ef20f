"""Masked rounds as the whole script runs them: whoever fails, wherever, and the server dies.

The end is the exact sum of the certified set, or a failure that names who is missing; no round has
two certificates with different sets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from secureflow.domain.quorum import threshold_of
from secureflow.engines.script import AGGREGATOR, ENCLAVE
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned

from .masked_world import VERBS, Fault, MaskedWorld
from .world import Crash, Journal, drive, told_dropouts

CLEAN = {"too_few_answers", "too_few_contributors", "round_lost"}
ROUNDS = 2
VISITS = [
    ("setup", 0),
    ("advance", 0),
    *((verb, n) for verb in ("mask", "answer") for n in range(3)),
]
"""Each time that a party is asked something in the steady state; the third round evaluates."""


def course(world: MaskedWorld, deaths: Iterable[int] = ()) -> dict[str, Any] | SecureFlowError:
    """Drive the whole script to its end, over the server's deaths at these effects."""
    journal: Journal = []
    for death in sorted(set(deaths)):
        with contextlib.suppress(Crash, SecureFlowError):
            drive(world, journal, death)
    try:
        end: dict[str, Any] | SecureFlowError = drive(world, journal)
    except SecureFlowError as error:
        end = error
    world.check()
    return end


def check_named(world: MaskedWorld, error: SecureFlowError) -> None:
    """A failure is one of few kinds and names somebody who failed, and nobody else."""
    assert error.code in CLEAN, error
    faulty = {fault.party for fault in world.faults}
    named = {party for party in world.keys if f"{party} " in error.message.replace(",", " ")}
    assert named, error
    assert named <= faulty, error


def survivors(world: MaskedWorld) -> list[tuple[str, int, list[str]]]:
    """Return stage, round and set of each closed round."""
    closed = [e["document"] for e in world.entries if e.get("kind") == "round.closed"]
    return [(d["stage"], d["round"], d["release"]["survivors"]) for d in closed]


@pytest.mark.parametrize("protection", ["secagg", "sealed+secagg"])
def test_the_steady_state_is_two_flights_a_round(protection: str) -> None:
    world = MaskedWorld(count=4, rounds=3, protection=protection)
    course(world)
    everybody = set(world.keys)
    asked = [(verb, set(to)) for verb, to in world.flights if not set(to) <= {ENCLAVE, AGGREGATOR}]
    start = asked.index(("setup", everybody))
    assert [verb for verb, _ in asked[start:]] == [
        "setup", "advance", "cosign", *["mask", "answer"] * 4, "finish", "cosign",
    ]  # fmt: skip
    assert all(to - {ENCLAVE, AGGREGATOR} == everybody for _, to in asked)
    assert all(to for _, to in world.flights)


def test_one_dropout_costs_one_flight_more_and_its_return_another() -> None:
    world = MaskedWorld(count=4, rounds=2, faults=[Fault("bank-b", "mask")])
    course(world)
    verbs = [verb for verb, to in world.flights if not set(to) <= {ENCLAVE, AGGREGATOR}]
    rounds = [*["mask", "answer", "answer"], *["advance", "mask", "answer"], *["mask", "answer"]]
    assert verbs[verbs.index("cosign") + 1 :] == [*rounds, "finish", "cosign"]


def test_a_round_without_keys_of_enough_parties_names_the_others() -> None:
    gone = MaskedWorld.names(8)[2:5]
    faults = [Fault(party, "advance", n) for party in gone for n in range(2)]
    world = MaskedWorld(count=8, rounds=1, faults=faults)
    end = course(world)
    assert isinstance(end, SecureFlowError)
    assert (end.code, end.details["parties"]) == ("too_few_contributors", gone)
    told = {(one["party"], one["stage"]) for one in told_dropouts(world)}
    assert told == {(party, stage) for party in gone for stage in ("advance", "train")}
    check_named(world, end)


@pytest.mark.slow
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize(
    "after", [pytest.param(False, marks=pytest.mark.full), True], ids=["before", "after"]
)
@pytest.mark.parametrize("dropped", [pytest.param(1, marks=pytest.mark.soak), 2, 3])
@pytest.mark.parametrize(("verb", "nth"), thinned(VISITS, 2, pytest.mark.full))
def test_dropouts_of_eight_at_every_stage(
    verb: str, nth: int, dropped: int, after: bool, for_good: bool
) -> None:
    """Up to n - t = 2 the course goes on without them, and with those that come back."""
    gone = MaskedWorld.names(8)[2 : 2 + dropped]
    faults = [Fault(party, verb, nth, after, for_good) for party in gone]
    world = MaskedWorld(count=8, rounds=ROUNDS, faults=faults)
    end = course(world)
    if dropped > 8 - threshold_of(8) and (for_good or verb != "advance"):
        assert isinstance(end, SecureFlowError)
        check_named(world, end)
        return
    assert not isinstance(end, SecureFlowError), end
    assert {d["party"] for d in end["dropouts"]} == set(gone)
    assert told_dropouts(world) == end["dropouts"]
    rounds = survivors(world)
    assert [stage for stage, _, _ in rounds] == ["train", "train", "evaluate"]
    if not for_good:
        # Where the failure cost the party its round, it is back in the next one.
        assert [len(parties) for _, _, parties in rounds].count(8) >= 2
        assert set(gone) <= set(rounds[-1][2]) or (verb, nth) == ("mask", 2)


def check_any_failures(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 8))
    names = MaskedWorld.names(count)
    fault = st.builds(
        Fault, st.sampled_from(names), st.sampled_from(VERBS), st.integers(0, 4),
        st.booleans(), st.booleans(),
    )  # fmt: skip
    faults = data.draw(st.lists(fault, max_size=6))
    protection = data.draw(st.sampled_from(["secagg", "sealed+secagg"]))
    lost = data.draw(st.none() | st.integers(1, 30)) if protection != "secagg" else None
    world = MaskedWorld(
        count=count, rounds=ROUNDS, faults=faults, protection=protection, lose_enclave_at=lost
    )
    end = course(world, data.draw(st.sets(st.integers(0, 60), max_size=4)))
    faulty = {fault.party for fault in faults}
    if isinstance(end, SecureFlowError):
        event(end.code)
        check_named(world, end)
        assert len(faulty) > count - threshold_of(count) or lost is not None
    else:
        event("sum")


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_failures_end_in_the_exact_sum_or_by_name(data: st.DataObject) -> None:
    check_any_failures(data)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_many_failures_end_in_the_exact_sum_or_by_name(data: st.DataObject) -> None:
    check_any_failures(data)


@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dropped", range(1, 23))
@pytest.mark.parametrize(("verb", "nth"), [v for v in VISITS if v[1] < 2])
def test_dropouts_of_sixty_four_at_every_stage(
    verb: str, nth: int, dropped: int, after: bool
) -> None:
    """One round and the evaluation: t is 43."""
    gone = MaskedWorld.names(64)[2 : 2 + dropped]
    faults = [Fault(party, verb, nth, after, for_good=True) for party in gone]
    world = MaskedWorld(count=64, rounds=1, faults=faults)
    end = course(world)
    if dropped > 64 - threshold_of(64):
        assert isinstance(end, SecureFlowError)
        check_named(world, end)
        return
    assert not isinstance(end, SecureFlowError), end
    assert len(survivors(world)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "protection", [pytest.param("secagg", marks=pytest.mark.full), "sealed+secagg"]
)
def test_the_server_dies_at_every_effect(protection: str, every: int) -> None:
    """With two dropouts, so that every flight and every kind of effect is there.

    `make test` takes every fourth effect, from another one on under each protection.
    """
    faults = [Fault("bank-c", "setup"), Fault("bank-e", "mask", 0, after=True)]
    facts: dict[str, Any] = {"count": 7, "rounds": ROUNDS, "protection": protection}
    base = MaskedWorld(faults=faults, **facts)
    want = course(base)
    assert not isinstance(want, SecureFlowError)
    for death in range(len(protection) % every, base.performed, every):
        world = MaskedWorld(faults=faults, **facts)
        end = course(world, [death])
        # The model may differ by who was there; that it is exact is checked.
        assert not isinstance(end, SecureFlowError), (death, end)


def test_who_missed_the_first_round_votes_under_the_charters_quorum() -> None:
    """bank-d's first vote is in round 2, where four of eight members train: five must witness."""
    world = MaskedWorld(count=4, members=4, rounds=ROUNDS, faults=[Fault("bank-d", "mask")])
    report = course(world)
    assert isinstance(report, dict)
    assert [len(names) for _, _, names in survivors(world)] == [3, 4, 4]
    assert ("bank-d", 2, "train") in world.votes
    assert "head_not_cosigned" not in {drop["code"] for drop in report["dropouts"]}
