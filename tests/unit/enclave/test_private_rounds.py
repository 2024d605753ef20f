"""Noise inside the enclave: once, from everybody's seed, and the same after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.enclaves import PARTIES, EnclaveWorld, enclave_world
from peers.private_jobs import FEATURES, PRIVACY, private_spec, rows

from secureflow.engines.training.private import private_delta, private_sums
from secureflow.kit.errors import SecureFlowError

SPEC: dict[str, Any] = {
    "model": {"family": "logistic_regression"},
    "features": FEATURES,
    "plan": {"rounds": 3, "validation": 0.0, "learning_rate": 1.0},
    "privacy": PRIVACY,
}


def update(world: EnclaveWorld, name: str, seed: bytes = b"") -> bytes:
    """Return an honest party's plaintext; its seed follows from name and model."""
    seed = seed or f"{name}{world.model}".encode()
    delta = private_delta(world.spec, world.initial, rows(PARTIES.index(name)), seed)
    return bytes(delta.tobytes() + private_sums(world.spec, seed).tobytes())


async def contribute(world: EnclaveWorld, name: str, plaintext: bytes = b"") -> None:
    await world.upload(name, world.seal(name, plaintext or update(world, name)))


async def certified(world: EnclaveWorld, names: tuple[str, ...] = PARTIES) -> Any:
    """Have the parties that are folded vote on themselves and their seeds."""
    noise = (await world.ask("roll", round=1, stage="train"))["noise"]
    return world.certificate(world.question(names, noise=noise))


async def released(world: EnclaveWorld, names: tuple[str, ...] = PARTIES) -> Any:
    for name in names:
        await contribute(world, name)
    return await world.release(await certified(world, names))


async def test_the_model_carries_noise_and_the_release_no_seed(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        answer = await released(world)
        model = world.stored_model(answer["model"])
    assert answer["sums"] == [4.0]  # the parties; neither seeds nor rows
    quiet = private_spec()
    exact = sum(
        private_delta(quiet, np.zeros(4, np.float32), rows(n), b"any") for n in range(4)
    ) * (1 / 1024)
    noise = -model * 400 - exact
    assert (np.abs(noise) > 1e-3).any()
    assert float(np.abs(noise).max()) < 2.0 * 6  # six standard deviations


async def test_a_restarted_enclave_draws_the_same_noise(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        first = (await released(world))["model"]
        world.model = world.worker_initial()
        await world.restart()
        await world.open(generation=2)
        again = (await released(world))["model"]
    assert first == again


async def test_a_colluders_other_seed_draws_no_second_noise(tmp_path: Path) -> None:
    """Else operator and bank-d restart the enclave until the average of the releases is exact."""
    async with enclave_world(tmp_path, **SPEC) as world:
        for name in PARTIES:
            await contribute(world, name)
        votes = await certified(world)
        first = (await world.release(votes))["model"]
        for generation, seed in ((2, b"another"), (3, b"")):
            world.model = world.worker_initial()
            await world.restart()
            await world.open(generation=generation)
            for name in PARTIES:
                await contribute(
                    world, name, update(world, name, seed if name == "bank-d" else b"")
                )
            if seed:
                with pytest.raises(SecureFlowError) as caught:
                    await world.release(votes)
                assert caught.value.code == "certificate_mismatch"
        assert (await world.release(votes))["model"] == first


async def test_a_certificate_that_binds_no_seeds_opens_nothing(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        for name in PARTIES:
            await contribute(world, name)
        with pytest.raises(SecureFlowError) as caught:
            await world.release(world.certificate(world.question()))
        assert caught.value.code == "certificate_mismatch"


async def test_each_partys_seed_moves_the_noise(tmp_path: Path) -> None:
    models = set()
    for changed in (None, "bank-c"):
        async with enclave_world(tmp_path / str(changed), **SPEC) as world:
            for name in PARTIES:
                delta = update(world, name)[: 4 * world.spec.parameters]
                seed = b"another" if name == changed else name.encode()
                sums = private_sums(world.spec, seed).tobytes()
                await contribute(world, name, bytes(delta + sums))
            answer = await world.release(await certified(world))
            models.add(world.stored_model(answer["model"]).tobytes())
    assert len(models) == 2


async def test_a_dropout_does_not_lower_the_noise(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        answer = await released(world, PARTIES[:3])
        model = world.stored_model(answer["model"])
    exact = sum(
        private_delta(private_spec(), np.zeros(4, np.float32), rows(n), b"any") for n in range(3)
    ) * (1 / 1024)
    assert (np.abs(-model * 400 - exact) > 1e-3).any()


@pytest.mark.parametrize(
    ("sums", "code"),
    [
        ([1.0] + [0.5] * 8, "noise_seed_malformed"),
        ([2.0] + [0.0] * 8, "weight_out_of_bounds"),
        ([0.5] + [0.0] * 8, "weight_out_of_bounds"),
    ],
)
async def test_a_false_weight_or_seed_is_refused(
    tmp_path: Path, sums: list[float], code: str
) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        plaintext = update(world, "bank-a")[: 4 * world.spec.parameters]
        with pytest.raises(SecureFlowError) as caught:
            await contribute(world, "bank-a", plaintext + np.array(sums, "<f8").tobytes())
        assert caught.value.code == code
        await contribute(world, "bank-a")  # nothing of it stayed


async def test_an_update_beyond_the_public_rows_is_refused(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        delta = np.full(world.spec.parameters, 400 * 1024.0, "<f4").tobytes()
        with pytest.raises(SecureFlowError) as caught:
            await contribute(world, "bank-a", delta + update(world, "bank-a")[len(delta) :])
        assert caught.value.code == "norm_exceeded"
