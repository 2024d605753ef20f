"""Rounds of an enclave under robust rules: what lies on its disk, and what is released."""

from __future__ import annotations

import errno
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers.enclaves import PARTIES, EnclaveWorld, enclave_world

from secureflow.domain.specs.robust import Median
from secureflow.enclave import trainingfolds
from secureflow.enclave.main import run
from secureflow.enclave.spill import VALUES
from secureflow.kit.errors import InfrastructureError, SecureFlowError

SIZE = VALUES + 100
PLAN = {"rounds": 3, "aggregation": {"rule": "median"}}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
async def robust(tmp_path: Path, disk: Path) -> AsyncIterator[EnclaveWorld]:
    """A world whose spec names a rule."""
    assert not left_in(disk)
    model = {"family": "rehearsal", "parameters": SIZE}
    async with enclave_world(tmp_path / "w", model=model, plan=PLAN) as world:
        yield world


def left_in(disk: Path) -> list[Path]:
    return list(disk.iterdir())


def spilled(disk: Path) -> list[Path]:
    return sorted(disk.glob(".secureflow-updates-*/*"), key=lambda one: int(one.name))


def median_of(world: EnclaveWorld, names: tuple[str, ...] = PARTIES) -> NDArray[np.float32]:
    changes = [
        np.frombuffer(world.update(PARTIES.index(one))[: 4 * SIZE], np.float32) for one in names
    ]
    return np.median(changes, axis=0).astype(np.float32)


async def uploaded(world: EnclaveWorld, number: int = 1) -> None:
    for name in PARTIES:
        await world.upload(name, number=number)


async def test_a_round_releases_the_rule_and_leaves_nothing(
    robust: EnclaveWorld, disk: Path
) -> None:
    assert robust.spec.plan.aggregation == Median("median")
    await uploaded(robust)
    assert [path.stat().st_size for path in spilled(disk)] == [4 * SIZE + 32] * 4
    answer = await robust.release(robust.certificate(robust.question()))
    model = robust.stored_model(answer["artifact"])
    np.testing.assert_allclose(model, robust.initial + median_of(robust), atol=1e-7)
    assert answer["sums"] == [40.0]
    assert not left_in(disk)
    await uploaded(robust, 2)
    second = await robust.release(robust.certificate(robust.question(number=2)), number=2)
    moved = robust.stored_model(second["artifact"])
    np.testing.assert_allclose(moved, model + median_of(robust), atol=1e-7)


async def test_who_sent_nothing_does_not_count(robust: EnclaveWorld) -> None:
    alive = PARTIES[:3]
    for name in alive:
        await robust.upload(name)
    answer = await robust.release(robust.certificate(robust.question(alive)))
    model = robust.stored_model(answer["artifact"])
    np.testing.assert_allclose(model, robust.initial + median_of(robust, alive), atol=1e-7)


async def test_chunks_that_are_swapped_on_the_disk_are_refused(
    robust: EnclaveWorld, disk: Path
) -> None:
    await uploaded(robust)
    first, second = (path.read_bytes() for path in spilled(disk)[:2])
    chunk = 4 * VALUES + 16
    spilled(disk)[0].write_bytes(second[:chunk] + first[chunk:])
    before = robust.model
    with pytest.raises(SecureFlowError) as refused:
        await robust.release(robust.certificate(robust.question()))
    assert refused.value.code == "spill_forged"
    assert robust.model == before
    assert robust.blobs.stored == {}


async def test_a_fault_of_the_disk_while_updates_are_read_can_be_waited_out(
    robust: EnclaveWorld, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await uploaded(robust)

    def failing(self: Path, *args: Any, **more: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    certificate = robust.certificate(robust.question())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        with pytest.raises(InfrastructureError) as waits:
            await robust.release(certificate)
    assert waits.value.code == "too_many_files"
    answer = await robust.release(certificate)
    model = robust.stored_model(answer["artifact"])
    np.testing.assert_allclose(model, robust.initial + median_of(robust), atol=1e-7)
    assert not left_in(disk)


async def test_a_refused_update_leaves_nothing_on_the_disk(
    robust: EnclaveWorld, disk: Path
) -> None:
    bad = np.frombuffer(robust.update(0), np.uint8).copy()
    bad[:4] = np.array([np.nan], "<f4").view(np.uint8)
    with pytest.raises(SecureFlowError) as refused:
        await robust.upload("bank-a", robust.seal("bank-a", bad.tobytes()))
    assert refused.value.code == "update_not_finite"
    assert spilled(disk) == []
    await robust.upload("bank-a")
    assert len(spilled(disk)) == 1


async def test_an_enclave_that_died_between_readings_comes_to_the_same_model(
    robust: EnclaveWorld, disk: Path
) -> None:
    """Its key died with it: what it left cannot be read, and parties send their updates again."""
    await uploaded(robust)
    (left,) = {path.parent for path in spilled(disk)}
    await robust.restart()
    await robust.open()
    await uploaded(robust)
    answer = await robust.release(robust.certificate(robust.question()))
    model = robust.stored_model(answer["artifact"])
    np.testing.assert_allclose(model, robust.initial + median_of(robust), atol=1e-7)
    assert left_in(disk) == [left]


async def test_a_job_that_ends_in_mid_round_leaves_nothing(
    robust: EnclaveWorld, disk: Path
) -> None:
    await robust.upload("bank-a")
    assert spilled(disk)
    await robust.ask("finish")
    assert not left_in(disk)


async def test_an_enclave_that_is_stopped_in_mid_round_leaves_nothing(
    robust: EnclaveWorld, disk: Path
) -> None:
    await robust.upload("bank-a")
    assert spilled(disk)
    await robust.verbs.close()
    assert not left_in(disk)


def test_an_enclave_leaves_no_core_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: limits.append(limit))
    assert run(tmp_path / "missing.yaml")
    assert (resource.RLIMIT_CORE, (0, 0)) in limits


async def test_no_sum_is_held_that_nobody_reads(robust: EnclaveWorld) -> None:
    fold = trainingfolds.training_fold(robust.spec, "train", None)
    assert isinstance(fold, trainingfolds.RobustFold)
    assert fold._sum.fixed.size == 0
    mean = trainingfolds.MeanFold(robust.spec, "train")
    assert mean._sum.fixed.size == robust.spec.update_parameters
