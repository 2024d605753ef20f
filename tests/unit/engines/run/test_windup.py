"""A job that is ended without its script: its story is as whole as if it had ended itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secureflow.domain.specs.base import dump
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.ends import CLOSED
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.run.windup import wind_up
from secureflow.engines.script import AGGREGATOR, ENCLAVE, Ask, Effect, Script
from secureflow.engines.statistics.script import federated_statistics
from secureflow.engines.training.federated import federated_training
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.run.test_ending import SILENT, world_of
from tests.unit.engines.statistics.test_statistics_script import StatisticsWorld
from tests.unit.engines.training.world import JOB, World

RETIRED = SecureFlowError("script_retired", "an older version's")


def run_until(world: World, verb: str) -> int:
    """Drive the world's own script until it asks for something; nobody answers that."""
    of: Any = federated_statistics if isinstance(world, StatisticsWorld) else federated_training
    script, seq = of(world.context), 0
    effect: Effect = next(script)
    while getattr(effect, "verb", "") != verb:
        effect = script.send(world.perform(seq, effect))
        seq += 1
    script.close()
    return seq + 1


def end(world: World, seq: int, script: str = "training/2") -> list[Effect]:
    """Wind the job up; return the effects."""
    leaves = [(leaf.author, parse_leaf(leaf.data).hash()) for leaf in world.log]
    ending = wind_up(JOB, script, dump(world.spec), world.digest, leaves, RETIRED, 60.0)
    effects = [next(ending)]
    with pytest.raises(SecureFlowError, match=RETIRED.message):
        answer_all(world, ending, effects, seq)
    return effects


def answer_all(world: World, script: Script[Any], effects: list[Effect], seq: int) -> None:
    while True:
        effects.append(script.send(world.perform(seq + len(effects), effects[-1])))


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("sealed", "admit"),
        ("sealed", "train"),
        ("sealed", "close"),
        ("sealed", "finish"),
        ("secagg", "mask"),
        ("secagg", "answer"),
        ("statistics", "mask"),
    ],
)
def test_the_story_of_a_job_that_was_ended_verifies(kind: str, verb: str) -> None:
    """Whatever its script had come to: leaves are recorded once, and every end counts them."""
    world = world_of(kind)
    end(world, run_until(world, verb))
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.failures, verdict.missing) == ((), ())
    assert (verdict.status, verdict.outcome) == ("verified", "failed")
    hashes = [parse_leaf(leaf.data).hash() for leaf in world.log]
    assert len(hashes) == len(set(hashes))
    for party in world.spec.parties:
        assert len([leaf for leaf in world.log if leaf.author == party]) == len(
            world.made.get(party, [])
        )


@pytest.mark.parametrize(("kind", "folder"), [("sealed", ENCLAVE), ("secagg", AGGREGATOR)])
def test_everybody_is_told_and_waited_for(kind: str, folder: str) -> None:
    world = world_of(kind)
    effects = end(world, run_until(world, "setup" if kind == "secagg" else "train"))
    told = next(effect for effect in effects if isinstance(effect, Ask))
    assert (told.verb, set(told.to)) == ("finish", {*world.spec.parties, folder})
    assert (told.patience, told.body["outcome"]) == (60.0, "failed")


def test_a_silent_party_does_not_keep_a_job_from_its_end() -> None:
    world = world_of("sealed")
    seq = run_until(world, "train")
    world.refuse["bank-d", "finish"] = SILENT
    end(world, seq)
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert verdict.status == "verified"
    assert [one.author for one in verdict.authors if not one.provable] == ["bank-d"]


def test_a_job_of_a_script_without_ends_gets_none() -> None:
    """Its agents sign none, and a bundle of it says `unfinished`, as it was approved."""
    world = world_of("sealed")
    end(world, run_until(world, "train"), "training/1")
    kinds = [leaf.kind for leaf in world.log]
    assert kinds[-1] == "job.finished"
    assert CLOSED not in kinds
