"""One party of the roster that runs ahead: it must not choose the enclave's step for the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from peers.enclaves import PARTIES, EnclaveWorld, enclave_world

from secureflow.engines.training.models import Stage
from secureflow.kit.errors import SecureFlowError

HONEST = PARTIES[:3]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[EnclaveWorld]:
    async with enclave_world(tmp_path) as world:
        yield world


async def run_ahead(world: EnclaveWorld, number: int, stage: Stage) -> None:
    """bank-d seals for a step that nobody was asked for, from the model that is current."""
    try:
        await world.upload("bank-d", number=number, stage=stage)
    except SecureFlowError as error:
        assert error.code == "stale_round"  # noqa: PT017  refused or folded: both are fine


async def honest_round(world: EnclaveWorld, number: int, stage: Stage = "train") -> None:
    for name in HONEST:
        await world.upload(name, number=number, stage=stage)
    question = world.question(HONEST, number=number, stage=stage)
    released = await world.release(world.certificate(question), number=number, stage=stage)
    assert released["survivors"] == list(HONEST)


@pytest.mark.parametrize(
    ("ahead", "stage"), [(2, "train"), (3, "train"), (1, "evaluate"), (2, "evaluate")]
)
async def test_an_update_for_a_later_step_does_not_close_the_one_that_is_due(
    world: EnclaveWorld, ahead: int, stage: Stage
) -> None:
    """Else one member stops every job, and the centre blames those whom the enclave refused."""
    await run_ahead(world, ahead, stage)
    await honest_round(world, 1)
    await run_ahead(world, ahead + 1, stage)
    await honest_round(world, 2)
    await run_ahead(world, 4, "evaluate")
    await honest_round(world, 3)
    await honest_round(world, 4, "evaluate")


async def test_a_restarted_enclave_goes_on_at_the_round_after_its_model(
    world: EnclaveWorld,
) -> None:
    await honest_round(world, 1)
    kept = {"digest": world.model, "artifact": world.model}
    await world.restart()
    await world.open(generation=2, model={**kept, "release": {"round": 1, "stage": "train"}})
    await run_ahead(world, 3, "train")
    await honest_round(world, 2)
