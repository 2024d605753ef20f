"""A part that is not started, as its data's grant was revoked, ends its whole by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secureflow.domain.ids import part_id
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.script import RunJob
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.pipeline.world import PipelineWorld
from tests.unit.engines.run.test_ending import ended
from tests.unit.engines.sweep.world import SweepWorld
from tests.unit.engines.timetable.world import TimetableWorld
from tests.unit.engines.training.world import JOB, Crash, Journal, drive

REVOKED = SecureFlowError("grant_revoked", "bank-a has revoked its grant of customers")
Wholes = type[PipelineWorld] | type[SweepWorld] | type[TimetableWorld]
WHOLES = [(PipelineWorld, "step"), (SweepWorld, "point"), (TimetableWorld, "run")]


def revoked_after_one(of: Wholes) -> Any:
    """A whole whose first part runs, and whose second is not started."""
    world: Any = of()
    runs, asked = world.run, [0]

    def run(effect: RunJob) -> Any:
        asked[0] += 1
        if effect.job != part_id(JOB, 1):
            raise SecureFlowError(REVOKED.code, REVOKED.message)
        return runs(effect)

    world.run, world.asked_for = run, asked
    return world


@pytest.mark.parametrize(("of", "kind"), WHOLES)
def test_it_ends_before_the_next_part_and_tells_everybody(of: Wholes, kind: str) -> None:
    world = revoked_after_one(of)
    error = ended(world)
    assert error is not None
    assert (error.code, error.message) == (REVOKED.code, REVOKED.message)
    assert world.asked_for == [2]  # nothing more is tried
    first, *_, last = [data for name, data in world.told if name == kind and "job" in data]
    assert first["state"] in {"started", "waits"}
    assert (last["state"], last["job"], last["error"]["code"]) == ("failed", "", "grant_revoked")
    assert {party for party, verb in world.asked if verb == "finish"} == set(world.keys)
    finished = [one["document"] for one in world.entries if one.get("kind") == "job.finished"]
    assert [(one["outcome"], one["error"]) for one in finished] == [("failed", "grant_revoked")]
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert verdict.ok, verdict


@pytest.mark.parametrize(("of", "kind"), WHOLES)
def test_killed_anywhere_it_ends_alike(of: Wholes, kind: str) -> None:
    """Whatever the grants say by then: a replay has the refusal from the journal."""
    del kind
    whole = revoked_after_one(of)
    kept: Journal = []
    with pytest.raises(SecureFlowError, match="revoked"):
        drive(whole, kept)
    refused = next(at for at, (_, _, failure) in enumerate(kept) if failure is not None)
    for place in range(refused + 1, len(kept)):
        journal: Journal = []
        world = revoked_after_one(of)
        with pytest.raises(Crash):
            drive(world, journal, die_at=place)
        world.run = None  # nobody is asked again
        with pytest.raises(SecureFlowError) as raised:
            drive(world, journal)
        assert raised.value.code == "grant_revoked"
