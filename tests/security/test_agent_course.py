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
    world = World(tmp_path / "agent", spec_changes={"release": {"intermediate": "agents"}})
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
