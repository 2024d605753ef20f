"""A party witnesses only scores that an enclave which it verified has signed, of its own rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import ALLOW, JOB, ME, Worker, World
from peers.statistics_world import StatisticsWorld

from secureflow.domain.grants import SealedRows
from secureflow.domain.scoredocument import scores_digest
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.ledger.ends import read_finished, scores_named
from secureflow.engines.training.models import update_layout
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_grants import grant

ROWS = 20
OTHER = SigningKey.from_seed(b"\x0a" * 32)


class Writing(Worker):
    """The worker that writes rows as well."""

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if step == "validation" and arguments is not None:
            size = update_layout(self.spec, "validation").parameters
            np.zeros(size, np.float32).tofile(arguments["path"])
        return await super().compute(job, step, arguments)


class Scored(World):
    def make_spec(self, **changes: Any) -> TrainingSpec:
        plan = {"rounds": 3, "validation": 0.2, "contribution": {"rows": ROWS}}
        return super().make_spec(plan=plan, **changes)

    def open_agent(self) -> None:
        self.worker = Writing(self.spec)
        super().open_agent()

    @property
    def own(self) -> str:
        """The commitment to this party's rows, as its leaf has it."""
        record = self.store.round(JOB, 0, "validation")
        assert record is not None
        return str(self.store.leaf(record.leaf).bundle["document"]["update"])

    def document(self, **changes: Any) -> dict[str, Any]:
        plan = self.spec.plan.contribution
        assert plan is not None
        line = {"score": 0.0, "low": 0.0, "high": 0.0, "share": 0.0}
        return {
            "job": JOB, "spec": self.digest, "scored": True, **dump(plan), "seed": "ab" * 32,
            "rounds": [1, 2, 3], "evaluations": 24, "seconds": 0.5,
            "commitments": dict.fromkeys(self.keys, self.own),
            "scores": dict.fromkeys(self.keys, line), **changes,
        }  # fmt: skip

    def scores(self, key: SigningKey | None = None, **changes: Any) -> dict[str, Any]:
        told = self.document(**changes)
        signature = (key or self.enclave.release_key).sign("contribution", told)
        return {"document": told, "signature": signature}

    def finish_body(self, scores: Any) -> dict[str, Any]:
        more = {} if scores is None else {"contribution": scores}
        model = self.released(3, 1.5)
        return self.body(outcome="succeeded", model=model, head=self.record(), **more)

    async def refused(self, scores: Any) -> SecureFlowError:
        with pytest.raises(SecureFlowError) as refusal:
            await self.ask("finish", self.finish_body(scores))
        assert refusal.value.code == "scores_forged"
        return refusal.value


async def trained(folder: Path, *, evaluated: bool = True) -> Scored:
    """An agent whose rows were sealed, and that trained to the end."""
    world = Scored(folder, policy=ALLOW)
    grant(world, validation=SealedRows(ROWS, simulated=True))
    await world.admitted()
    world.record(await world.ask("train", world.train_body(0, "validation")))
    for number in (1, 2, 3):
        await world.round(number)
    if evaluated:
        body = world.train_body(4, "evaluate")
        world.record(await world.ask("train", body))
        await world.ask("close", world.close_body(body))
    return world


async def test_an_end_names_the_scores_that_were_verified(tmp_path: Path) -> None:
    world = await trained(tmp_path / "agent")
    scores = world.scores()
    ended = await world.ask("finish", world.finish_body(scores))
    assert ended["cosignature"]
    assert scores_named(ended["document"]) == scores_digest(scores)
    assert read_finished(ended["document"]) is not None


async def test_scores_that_no_verified_enclave_signed_end_no_job(tmp_path: Path) -> None:
    """And none that were altered; the centre that sent them is accused, and no head cosigned."""
    world = await trained(tmp_path / "agent")
    altered = world.scores()
    altered["document"]["scores"][ME] = {"score": 0.0, "low": 0.0, "high": 0.5, "share": 0.0}
    for forged in (world.scores(OTHER), world.scores(world.keys[ME]), altered):
        error = await world.refused(forged)
        assert "no enclave that this party verified" in error.message
        accusation = error.details["accusation"]["document"]
        assert (accusation["against"], accusation["code"]) == (["server"], "scores_forged")
    with pytest.raises(SecureFlowError) as refusal:
        await world.ask("cosign", {"job": JOB, "head": world.record()})
    assert refusal.value.code == "scores_forged"
    assert world.store.job(JOB).outcome == ""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"job": "job_other00000"}, "another job or spec"),
        ({"spec": "00" * 32}, "another job or spec"),
        ({"permutations": 9}, "as the plan says"),
        ({"seed": ""}, "form is wrong"),
        ({"scores": {}}, "not the roster"),
    ],
)
async def test_signed_scores_of_something_else_are_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    world = await trained(tmp_path / "agent")
    assert reason in (await world.refused(world.scores(**changes))).message


async def test_scores_of_other_rows_than_ones_own_are_refused(tmp_path: Path) -> None:
    world = await trained(tmp_path / "agent")
    told = world.document()["commitments"]
    error = await world.refused(world.scores(commitments={**told, ME: "ee" * 32}))
    assert "the rows of this party were others" in error.message


@pytest.mark.parametrize("told", [None, {}, {"document": {}, "signature": 1}])
async def test_a_scored_job_does_not_end_without_scores(tmp_path: Path, told: Any) -> None:
    world = await trained(tmp_path / "agent")
    assert "none came" in (await world.refused(told)).message


async def test_a_party_that_was_away_says_nothing_of_scores(tmp_path: Path) -> None:
    """It cannot tell whether they are of an enclave that it never verified."""
    world = await trained(tmp_path / "agent", evaluated=False)
    ended = await world.ask("finish", world.finish_body(world.scores(OTHER)))
    assert scores_named(ended["document"]) == ""


async def test_what_an_enclave_without_scores_says_is_verified_too(tmp_path: Path) -> None:
    world = await trained(tmp_path / "agent")
    told = {"job": JOB, "spec": world.digest, "scored": False, "parties": sorted(world.keys)}
    forged = {"document": told, "signature": OTHER.sign("contribution", told)}
    await world.refused(forged)
    own = {"document": told, "signature": world.enclave.release_key.sign("contribution", told)}
    ended = await world.ask("finish", world.finish_body(own))
    assert scores_named(ended["document"]) == scores_digest(own)


async def test_a_job_that_scores_nothing_ends_with_no_scores(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy=ALLOW)
    await world.admitted()
    for number in (1, 2, 3):
        await world.round(number)
    world.record(await world.ask("train", world.train_body(4, "evaluate")))
    body = world.body(
        outcome="succeeded", model=world.released(3, 1.5), head=world.record(),
        contribution={"document": {}, "signature": ""},
    )  # fmt: skip
    with pytest.raises(SecureFlowError) as refusal:
        await world.ask("finish", body)
    assert refusal.value.code == "scores_forged"


async def test_a_kind_that_scores_nothing_takes_no_scores(tmp_path: Path) -> None:
    world = StatisticsWorld(tmp_path / "agent", policy=ALLOW)
    await world.ask("consent", world.consent_body())
    body = world.body(
        outcome="succeeded", model=None, head=world.record(),
        contribution={"document": {}, "signature": ""},
    )  # fmt: skip
    with pytest.raises(SecureFlowError) as refusal:
        await world.ask("finish", body)
    assert refusal.value.code == "scores_forged"
