"""Rows are sealed only under a grant in force that names them, and the enclave's tier."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ALLOW, JOB, ME, NOW, World

from secureflow.agent.job.validationrows import check_rows_leave
from secureflow.agent.record.records import AdmittedEnclave
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import SealedRows
from secureflow.domain.specs.training import TrainingSpec
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
