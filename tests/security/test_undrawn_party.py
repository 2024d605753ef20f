"""A centre that chooses who contributes, against agents and an enclave that know whom a spec draws.

Red without `check_drawn` in `agent.kinds.training`, and without it in `enclave.training`; and
without `check_survivors` in `agent.verbs.rounds` (under masks: in `agent.verbs.masking`, where
`operator/test_masks.py` is red).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.agent_world import ALLOW, ME, World
from peers.enclaves import enclave_world

from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.kit.errors import SecureFlowError

DRAWN = f"""{ALLOW}
permit(principal, action == Action::"training", resource) when {{ context.parties_per_round > 0 }};
"""
"""A policy that looks at it: else a person is asked."""
PARTIES = (ME, *(f"bank-{letter}" for letter in "bcd"))


def world_where(directory: Path, *, drawn: bool) -> World:
    """Return a world whose first round draws the agent's party, or does not."""
    for seed in range(64):
        plan = {"rounds": 3, "parties_per_round": 3, "seed": seed}
        made = World(directory / str(seed), DRAWN, parties=PARTIES, spec_changes={"plan": plan})
        if (ME in drawn_parties(made.spec, made.digest, 1)) == drawn:
            return made
    raise AssertionError("three of four are always or never drawn")


async def test_an_agent_that_was_not_drawn_sends_nothing(tmp_path: Path) -> None:
    world = world_where(tmp_path, drawn=False)
    await world.admitted()
    body = world.train_body()
    with pytest.raises(SecureFlowError) as caught:
        await world.assembly.agent.handle("train", body, world.log_proofs(body))
    assert caught.value.code == "not_drawn"
    assert ME in caught.value.message
    assert "train" not in world.worker.calls


async def test_an_agent_that_was_drawn_trains(tmp_path: Path) -> None:
    world = world_where(tmp_path, drawn=True)
    await world.admitted()
    assert (await world.ask("train", world.train_body()))["rows"] == 40


async def test_an_agent_signs_for_nobody_who_was_not_drawn(tmp_path: Path) -> None:
    """A party of the centre's choosing would be in each round, and move the model each time."""
    world = world_where(tmp_path, drawn=True)
    await world.admitted()
    body = world.train_body()
    await world.ask("train", body)
    everybody = world.close_body(body)
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("close", everybody)
    assert caught.value.code == "survivors_undrawn"
    drawn = sorted(drawn_parties(world.spec, world.digest, 1))
    (left_out,) = set(PARTIES) - set(drawn)
    assert left_out in caught.value.message
    assert caught.value.details["accusation"]  # the centre put the question
    closed = await world.ask("close", {**everybody, "survivors": drawn, "dead": [left_out]})
    assert closed["vote"]


async def test_an_enclave_takes_nothing_of_a_party_that_was_not_drawn(tmp_path: Path) -> None:
    plan = {"rounds": 3, "parties_per_round": 3}
    async with enclave_world(tmp_path / "w", plan=plan) as world:
        drawn = drawn_parties(world.spec, world.digest, 1)
        (left_out,) = set(world.organisations) - set(drawn)
        with pytest.raises(SecureFlowError) as caught:
            await world.upload(left_out)
        assert caught.value.code == "not_drawn"
        assert await world.upload(drawn[0])
