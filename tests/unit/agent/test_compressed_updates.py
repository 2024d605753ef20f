"""Error feedback at an agent: what an update leaves out survives kill -9, or is named if lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import JOB, Worker, World

from secureflow.adapters.frameworks.kept import kept_by
from secureflow.engines.sealing import tensor_views
from secureflow.engines.training.sending import compressed, read_change, update_form
from secureflow.kit.errors import SecureFlowError

FORMS = [{"method": "int8"}, {"method": "top_k", "share": 0.3}]


class Compressing(Worker):
    """Draws a change for each training, and compresses it as a real worker does."""

    def __init__(self, spec: Any) -> None:
        super().__init__(spec)
        self.wanted: list[np.ndarray] = []
        self.before: list[np.ndarray] = []

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if step == "train" and arguments is not None:
            self._train(arguments)
        return self._answer(step)

    def _train(self, arguments: Mapping[str, Any]) -> None:
        before, after = arguments["state"]
        _, left = kept_by(self.spec, None if before is None else Path(before))
        draws = np.random.default_rng(len(self.wanted))
        change = draws.normal(size=self.spec.update_parameters).astype(np.float32)
        self.wanted.append(change)
        self.before.append(left)
        sent, left = compressed(self.spec, change, left)
        Path(arguments["update"]).write_bytes(b"".join(part.tobytes() for part in sent))
        Path(after).write_bytes(left.tobytes())


def world_of(tmp_path: Path, form: dict[str, Any]) -> tuple[World, Compressing]:
    world = World(tmp_path / "agent", spec_changes={"compression": form})
    world.worker = worker = Compressing(world.spec)
    world.open_agent()
    return world, worker


def received(world: World, number: int) -> np.ndarray:
    """Return what the enclave decodes of a round's update."""
    (data,) = [data for (at, _, _), data in world.enclave.opened.items() if at == number]
    views = tensor_views(update_form(world.spec, "train"), memoryview(data))
    return np.asarray(read_change(world.spec, "train", views)[:])


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_left_out_survives_a_kill(tmp_path: Path, form: dict[str, Any]) -> None:
    world, worker = world_of(tmp_path, form)
    await world.admitted()
    total = np.zeros(world.spec.update_parameters)
    for number in (1, 2, 3):
        await world.round(number)
        first = received(world, number)
        world.reopen()
        await world.ask("train", world.train_body(number))
        np.testing.assert_array_equal(received(world, number), first)  # sent again, not made again
        total += first
    assert len(worker.wanted) == 3
    assert not worker.before[0].any()
    assert worker.before[1].any()
    (newest,) = [
        one for one in (world.settings.models / JOB).glob("*.state")
        if one.stem == world.store.newest_round(JOB).content  # type: ignore[union-attr]
    ]  # fmt: skip
    _, left = kept_by(world.spec, newest)
    np.testing.assert_allclose(total + left, np.sum(worker.wanted, axis=0), atol=1e-5)


@pytest.mark.parametrize("damage", ["gone", "short", "infinite"])
async def test_what_was_left_out_and_is_lost_is_named(tmp_path: Path, damage: str) -> None:
    world, worker = world_of(tmp_path, FORMS[0])
    await world.admitted()
    await world.round(1)
    (state,) = (world.settings.models / JOB).glob("*.state")
    if damage == "gone":
        state.unlink()
    else:
        size = world.spec.update_parameters - (damage == "short")
        state.write_bytes(np.full(size, np.inf if damage == "infinite" else 0, "<f4").tobytes())
    world.reopen()
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", world.train_body(2))
    assert caught.value.code == "state_unreadable"
    if damage == "gone":
        assert "int8" in str(caught.value)
    assert len(worker.wanted) == 1
