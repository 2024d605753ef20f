"""Rows are sealed only under a grant in force that names them, and the enclave's tier."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import ALLOW, JOB, ME, NOW, Worker, World

from secureflow.agent.compute.derivation import (
    commitment_salt,
    training_seed,
    update_commitment,
)
from secureflow.agent.job.validationrows import check_rows_leave, fix_rows, row_secret
from secureflow.agent.record.records import AdmittedEnclave, JobRecord
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import SealedRows
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import update_layout
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_grants import grant

ROWS = 20


async def approved(folder: Path, tier: str, **terms: Any) -> World:
    """An agent that approved a job under a grant, and admitted an enclave."""
    world = World(folder)
    if terms:
        grant(world, **terms)
    await world.ask("consent", world.consent_body())
    with world.store.transaction():
        world.store.add_admission(
            AdmittedEnclave(JOB, 1, "ab" * 32, "hpke", "release", tier, NOW + 1000)
        )
    return world


def refusal(world: World, generation: int = 1) -> str:
    job = world.store.job(JOB)
    assert job is not None
    with pytest.raises(SecureFlowError) as refused:
        check_rows_leave(world.assembly.context, job, ROWS, generation)
    assert refused.value.code == "validation_not_granted"
    assert ME in refused.value.message
    return str(refused.value.message)


@pytest.mark.parametrize(
    ("tier", "terms"),
    [
        ("hardware", {"validation": SealedRows(ROWS)}),
        ("SIMULATED", {"validation": SealedRows(ROWS, simulated=True)}),
    ],
)
async def test_rows_leave_as_granted(tmp_path: Path, tier: str, terms: Any) -> None:
    world = await approved(tmp_path / "agent", tier, **terms)
    job = world.store.job(JOB)
    assert job is not None
    check_rows_leave(world.assembly.context, job, ROWS, 1)
    assert "SIMULATED" in refusal(world, generation=2)  # nobody verified that one


@pytest.mark.parametrize(
    ("tier", "terms", "why"),
    [
        ("hardware", {}, "under no grant"),
        ("hardware", {"uses": 5}, "so many"),
        ("hardware", {"validation": SealedRows(ROWS - 1)}, "so many"),
        ("SIMULATED", {"validation": SealedRows(ROWS)}, "the enclave is SIMULATED"),
    ],
)
async def test_rows_do_not_leave(tmp_path: Path, tier: str, terms: Any, why: str) -> None:
    world = await approved(tmp_path / "agent", tier, **terms)
    assert why in refusal(world)


async def test_a_revoked_grant_lets_nothing_leave(tmp_path: Path) -> None:
    world = await approved(tmp_path / "agent", "hardware", validation=SealedRows(ROWS))
    (kept,) = world.store.grants()
    await world.assembly.stopping.stop(Cause("grant_revoked", kept.id))
    assert "not in force" in refusal(world)


class Scored(World):
    """A job of which rows leave, under a policy that permits everything."""

    def make_spec(self, **changes: Any) -> TrainingSpec:
        plan = {"rounds": 3, "validation": 0.2, "contribution": {"rows": ROWS}}
        return super().make_spec(plan=plan, **changes)


async def test_no_policy_and_no_person_lets_rows_leave_without_a_grant(tmp_path: Path) -> None:
    world = Scored(tmp_path / "agent", policy=ALLOW)
    for _ in range(2):  # without any grant, and under one that says nothing of rows
        with pytest.raises(SecureFlowError) as refused:
            await world.ask("consent", world.consent_body())
        assert refused.value.code == "grant_missing"
        assert world.store.job(JOB) is None
        grant(world)
    grant(world, validation=SealedRows(ROWS))
    assert await world.ask("consent", world.consent_body())


async def test_nobody_is_asked_about_rows_that_no_grant_names(tmp_path: Path) -> None:
    world = Scored(tmp_path / "agent", policy="")
    with pytest.raises(SecureFlowError) as refused:
        async with asyncio.timeout(60):  # a person who is asked answers never
            await world.ask("consent", world.consent_body())
    assert refused.value.code == "grant_missing"


async def test_rows_are_not_read_for_an_enclave_that_they_may_not_go_to(tmp_path: Path) -> None:
    world = Scored(tmp_path / "agent", policy=ALLOW)
    grant(world, validation=SealedRows(ROWS))
    await world.admitted()
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("train", world.train_body(0, "validation"))
    assert refused.value.code == "validation_not_granted"
    assert world.store.round(JOB, 0, "validation") is None


async def sealing(folder: Path, **plan: Any) -> tuple[World, dict[str, Any]]:
    """An agent that sealed its rows for a job; return what its worker was asked."""
    asked: dict[str, Any] = {}

    class Asked(Worker):
        async def compute(
            self, job: str, step: str, arguments: Mapping[str, Any] | None = None
        ) -> dict[str, Any]:
            if step == "validation" and arguments is not None:
                asked.update(arguments)
                size = update_layout(self.spec, "validation").parameters
                np.zeros(size, np.float32).tofile(arguments["path"])
            return await super().compute(job, step, arguments)

    class Planned(Scored):
        def make_spec(self, **changes: Any) -> TrainingSpec:
            spec = super().make_spec(**changes)
            return replace(spec, plan=replace(spec.plan, **plan))

        def open_agent(self) -> None:
            self.worker = Asked(self.spec)
            super().open_agent()

    world = Planned(folder, policy=ALLOW)
    grant(world, validation=SealedRows(ROWS, simulated=True))
    await world.admitted()
    return world, asked


def other_job(world: World) -> JobRecord:
    """Approve another job under the same grant."""
    job, use = world.store.job(JOB), world.store.grant_use(JOB)
    assert job is not None
    assert use is not None
    other = replace(job, job="job_other00001", secret=b"\x07" * 32)
    with world.store.transaction():
        world.store.add_job(other)
        world.store.keep_grant_use(replace(use, job=other.job))
    return other


async def test_one_grant_fixes_which_rows_leave_and_their_commitment(tmp_path: Path) -> None:
    """Whatever job, secret or model: else each job would tell of further rows."""
    world, asked = await sealing(tmp_path / "agent")
    await world.ask("train", world.train_body(0, "validation"))
    context, other = world.assembly.context, other_job(world)
    secret = row_secret(context, other)
    assert secret == row_secret(context, world.store.job(JOB))  # type: ignore[arg-type]
    assert asked["seed"] == training_seed(secret, "validation", "")
    assert asked["salt"] == commitment_salt(secret, 0, "validation").hex()
    record = world.store.round(JOB, 0, "validation")
    assert record is not None
    leaf = world.store.leaf(record.leaf).bundle["document"]
    assert leaf["update"] == update_commitment(secret, 0, "validation", record.content)
    ((_, sent),) = world.uplink.sent
    assert sent == leaf["update"]
    with world.store.transaction():
        use = world.store.grant_use(JOB)
        assert use is not None
        world.store.keep_grant_use(replace(use, grant="ef" * 32))
    assert row_secret(context, world.store.job(JOB)) != secret  # type: ignore[arg-type]


async def test_another_signing_key_draws_no_other_rows(tmp_path: Path) -> None:
    """What the draw follows from is kept with the first rows that leave under a grant."""
    world, asked = await sealing(tmp_path / "agent")
    await world.ask("train", world.train_body(0, "validation"))
    job = world.store.job(JOB)
    assert job is not None
    other = replace(world.assembly.context, key=SigningKey.from_seed(b"\x0b" * 32))
    assert asked["seed"] == training_seed(row_secret(other, job), "validation", "")


@pytest.mark.parametrize(
    "differs", [{"validation": 0.3}, {"seed": 1}, {"order": "public"}, {"dataset": "ef" * 32}]
)
async def test_no_job_gets_other_rows_than_the_first_under_a_grant(
    tmp_path: Path, differs: dict[str, Any]
) -> None:
    world, _ = await sealing(tmp_path / "agent")
    await world.ask("train", world.train_body(0, "validation"))
    context, other, plan = world.assembly.context, other_job(world), dump(world.spec.plan)
    fix_rows(context, other, plan)
    fix_rows(context, other, {**plan, "rounds": 9, "contribution": {"rows": 12}})
    if "dataset" in differs:
        other = replace(other, declared={**(other.declared or {}), "commitment": "ef" * 32})
    with pytest.raises(SecureFlowError) as refused:
        fix_rows(context, other, {**plan, **differs})
    assert refused.value.code == "validation_not_granted"
    assert "other rows than the first job" in refused.value.message
    world.reopen()
    with pytest.raises(SecureFlowError):
        fix_rows(world.assembly.context, other, {**plan, **differs})


async def test_a_job_with_other_rows_is_refused_before_it_reads_any(tmp_path: Path) -> None:
    world, asked = await sealing(tmp_path / "agent")
    plan = {**dump(world.spec.plan), "validation": 0.4}
    fix_rows(world.assembly.context, other_job(world), plan)
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("train", world.train_body(0, "validation"))
    assert refused.value.code == "validation_not_granted"
    assert not asked
