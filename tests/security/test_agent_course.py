"""The course that a malicious centre leads an agent through: its order, its votes, its end.

The attacker runs several enclaves at once, all attested, and hands the agents from one to another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, World

from secureflow.kit.errors import SecureFlowError


async def refused(world: World, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        await world.ask(verb, body)
    return error.value


@pytest.mark.parametrize(("number", "stage"), [(3, "train"), (3, "evaluate")])
async def test_an_evaluation_ends_the_course(tmp_path: Path, number: int, stage: str) -> None:
    """Intermediate models are the agents' alone; only an evaluated one, the output, is opened.

    A centre that holds the certificate of round 2 back, has model 1 evaluated (and so opened) by a
    fresh enclave, and then goes on from model 2 of the old one would read every model of the job.
    """
    plan = {"rounds": 3, "early_stop": {"patience": 1}}
    changes = {"release": {"intermediate": "agents"}, "plan": plan}
    world = World(tmp_path / "agent", spec_changes=changes)
    await world.admitted()
    await world.round(1)
    await world.round(2)
    first = world.released(1, 0.5)
    evaluation = world.train_body(2, "evaluate", model=first)
    await world.ask("train", evaluation)
    error = await refused(world, "train", world.train_body(number, stage))
    assert error.code == "stale_round"
    assert world.store.round(JOB, number, stage) is None
    again = await world.ask("train", evaluation)  # the same question gets the same answer
    assert again["receipt"]["round"] == 2


async def test_a_job_without_an_early_stop_is_evaluated_after_its_last_round(
    tmp_path: Path,
) -> None:
    """A centre that may choose the round chooses the model that suits it best."""
    world = World(tmp_path / "agent")
    await world.admitted()
    await world.round(1)
    error = await refused(world, "train", world.train_body(2, "evaluate"))
    assert error.code == "stale_round"
    assert world.store.round(JOB, 2, "evaluate") is None
    await world.round(2)
    await world.round(3)
    evaluated = await world.ask("train", world.train_body(4, "evaluate"))
    assert evaluated["receipt"]["round"] == 4


async def test_no_vote_for_fewer_contributors_than_were_approved(tmp_path: Path) -> None:
    """The enclave counts too; an agent's own word does not hang on it."""
    parties = (ME, "bank-b", "bank-c", "bank-d")
    world = World(tmp_path / "agent", parties=parties, spec_changes={"min_contributors": 4})
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    fewer = {"survivors": [ME, "bank-b", "bank-c"], "dead": ["bank-d"]}
    error = await refused(world, "close", world.close_body(train, **fewer))
    assert error.code == "survivors_too_few"
    assert world.store.vote(JOB, 1, "train") is None
    assert (await world.ask("close", world.close_body(train)))["vote"]


@pytest.mark.parametrize(
    ("number", "stage"), [(0, "train"), (4, "train"), (1, "moments"), (0, "evaluate")]
)
async def test_only_the_steps_of_the_approved_plan_are_worked_on(
    tmp_path: Path, number: int, stage: str
) -> None:
    """Where no enclave counts the rounds (masks alone), nobody but the agents does."""
    world = World(tmp_path / "agent")
    await world.admitted()
    for earlier in range(1, 4 if number == 4 else 1):
        await world.round(earlier)
    error = await refused(world, "train", world.train_body(number, stage))
    assert error.code == "stale_round"
    assert "plan" in error.message
    assert world.store.round(JOB, number, stage) is None


async def test_what_was_approved_masked_never_leaves_unmasked(tmp_path: Path) -> None:
    """`sealed+secagg` is for those who do not trust the enclave alone: no half of it will do."""
    world = World(tmp_path / "agent", spec_changes={"protection": "sealed+secagg"})
    await world.admitted()
    train = world.train_body()
    for verb, body in (("train", train), ("close", world.close_body(train))):
        error = await refused(world, verb, body)
        assert error.code == "protection_unsupported", verb
    assert world.worker.calls == ["prepare"]
    assert world.uplink.sent == []
    assert world.store.vote(JOB, 1, "train") is None


@pytest.mark.parametrize("left_out", ["generation", "uplink"])
async def test_what_was_approved_sealed_never_leaves_unsealed(
    tmp_path: Path, left_out: str
) -> None:
    world = World(tmp_path / "agent", spec_changes={"protection": "sealed+secagg"})
    await world.admitted()
    body: dict[str, Any] = world.body(
        round=1, stage="train", head=world.head(), begin="", steps=[], vector={"size": 8},
        generation=1, uplink={"address": "enclave:1"},
    )  # fmt: skip
    error = await refused(world, "mask", {**body, left_out: None})
    assert error.code == "protection_unsupported"
    assert world.worker.calls == ["prepare"]
