"""Rounds that ask some of the parties: drawn by the signed spec, under every protection."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.engines.script import AGGREGATOR, ENCLAVE
from secureflow.kit.errors import SecureFlowError

from .masked_world import Fault, MaskedWorld
from .test_masked_script import course, survivors
from .world import World, drive

ASKED = 6
"""Of seven, of which five must sign: one may be lost in a round."""


def trained(world: World) -> dict[int, list[str]]:
    closed = survivors(world)  # type: ignore[arg-type]
    return {number: parties for stage, number, parties in closed if stage == "train"}


def expected(world: World) -> dict[int, list[str]]:
    rounds = range(1, world.rounds + 1)
    return {n: sorted(drawn_parties(world.spec, world.digest, n)) for n in rounds}


def measured(world: World) -> list[str]:
    return next(names for stage, _, names in survivors(world) if stage == "evaluate")  # type: ignore[arg-type]


def test_a_sealed_round_takes_the_drawn_and_misses_nobody() -> None:
    world = World(count=7, rounds=4, plan={"parties_per_round": ASKED})
    report = drive(world, [])
    assert trained(world) == expected(world)
    assert len({tuple(one) for one in trained(world).values()}) > 1  # not the same ones each time
    assert report["dropouts"] == []
    asked = [party for party, verb in world.asked if verb == "train"]
    assert len(asked) == 4 * ASKED + 7  # the evaluation takes all


@pytest.mark.parametrize("protection", ["secagg", "sealed+secagg"])
def test_a_masked_round_opens_the_sum_of_the_drawn(protection: str) -> None:
    """`course` compares each sum with what its contributors sent, to the bit."""
    plan = {"parties_per_round": ASKED}
    world = MaskedWorld(count=7, rounds=4, protection=protection, plan=plan)
    report = course(world)
    assert not isinstance(report, SecureFlowError), report
    assert trained(world) == expected(world)
    assert measured(world) == sorted(world.keys)
    assert report["dropouts"] == []
    masks = [set(to) for verb, to in world.flights if verb == "mask"]
    assert [len(to - {ENCLAVE, AGGREGATOR}) for to in masks] == [ASKED] * 4 + [7]


@pytest.mark.parametrize("protection", ["secagg", "sealed+secagg"])
def test_a_drawn_party_may_still_be_lost(protection: str) -> None:
    plan = {"parties_per_round": ASKED}
    lost = MaskedWorld(count=7, rounds=2, protection=protection, plan=plan)
    first = drawn_parties(lost.spec, lost.digest, 1)[0]
    world = MaskedWorld(
        count=7, rounds=2, protection=protection, plan=plan, faults=[Fault(first, "mask")]
    )
    report: Any = course(world)
    assert not isinstance(report, SecureFlowError), report
    assert trained(world)[1] == [one for one in expected(world)[1] if one != first]
    assert trained(world)[2] == expected(world)[2]
    assert [one["party"] for one in report["dropouts"]] == [first]


def test_a_stranger_that_is_not_drawn_costs_no_patience() -> None:
    """A party that was away at the set-up is asked for its keys when a round draws it."""
    plan = {"parties_per_round": ASKED}
    spare = MaskedWorld(count=7, rounds=2, plan=plan)
    left_out = set(spare.keys) - set(drawn_parties(spare.spec, spare.digest, 1))
    (away,) = left_out
    world = MaskedWorld(count=7, rounds=2, plan=plan, faults=[Fault(away, "setup")])
    report: Any = course(world)
    assert not isinstance(report, SecureFlowError), report
    assert trained(world) == expected(world)
    setups = [set(to) for verb, to in world.flights if verb == "setup"]
    before_mask = next(n for n, (verb, _) in enumerate(world.flights) if verb == "mask")
    assert sum(verb == "setup" for verb, _ in world.flights[:before_mask]) == 1
    assert {away} in setups
