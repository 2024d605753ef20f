"""A party whose record was set back in mid-job: a second leaf in the place of another ends it."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.engines.ledger.leaves import leaf_from_json
from tests.unit.engines.run.test_ending import ended, world_of
from tests.unit.engines.training.world import World


def setting_back(world: World, verb: str, leaves: int) -> World:
    """Give bank-b an older record before it answers: it keeps only its first leaves of the job."""
    done: list[str] = []

    def before(party: str, asked: str, reply: dict[str, Any]) -> dict[str, Any]:
        if party == "bank-b" and asked == verb and not done and len(world.made[party]) > leaves + 1:
            done.append(asked)
            made = world.made[party]
            kind, document = made[-1]["leaf"]["leaf"]["kind"], made[-1]["document"]
            world.made[party] = made[:leaves]
            return {**reply, **world._leaf(party, kind, document)}
        return reply

    world.liar = before
    return world


@pytest.mark.parametrize("kind", ["sealed", "secagg", "sealed+secagg", "statistics"])
def test_a_second_leaf_in_the_place_of_another_ends_the_job_by_name(kind: str) -> None:
    world = world_of(kind)
    verb = "train" if kind == "sealed" else "mask"
    # A statistics job has few leaves: its approval is forgotten as well.
    error = ended(setting_back(world, verb, 0 if kind == "statistics" else 1))
    assert error is not None
    assert error.code == "record_set_back", error
    assert error.message.startswith("bank-b signed another")
    assert error.details["party"] == "bank-b"


@pytest.mark.parametrize("kind", ["sealed", "secagg", "sealed+secagg", "statistics"])
def test_the_same_leaf_again_ends_nothing(kind: str) -> None:
    world = world_of(kind)
    seen: list[dict[str, Any]] = []

    def again(party: str, asked: str, reply: dict[str, Any]) -> dict[str, Any]:
        seen.append(reply)
        return {**reply, "leaves": list(world.made.get(party, ()))} if reply.get("leaf") else reply

    world.liar = again
    assert ended(world) is None
    made = [leaf_from_json(one["leaf"]).hash() for one in world.made["bank-b"]]
    assert len(set(made)) == len(made)
    assert seen
