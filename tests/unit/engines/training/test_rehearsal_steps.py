"""A rehearsal's step: one number for each parameter of a model that may be longer than memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.adapters.frameworks.numpy_runner import _STEPS
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing.wiretypes import BYTES, DTYPES, widened
from secureflow.engines.training.capping import as_sent, clipped_delta
from secureflow.kit.crypto import SigningKey
from tests.full import thinned

from .world import make_spec

WIRES = ("float32", "float16", "bfloat16")


def job_of(count: int, step: float, wire: str, clip: float = 10.0) -> TrainingSpec:
    keys = {name: SigningKey.from_seed(name.ljust(32).encode()) for name in ("a", "b", "c")}
    model = {"family": "rehearsal", "parameters": count, "step": step}
    more: dict[str, Any] = {} if wire == "float32" else {"wire": wire}
    return make_spec(keys, model=model, limits={"clip_norm": clip}, **more)


def written(job: TrainingSpec, folder: Path) -> np.ndarray:
    sums = NumpyRunner(job, None).train(folder / "model", folder / "update", None, b"")
    assert sums.tolist() == [1.0]
    return np.fromfile(folder / "update", DTYPES[job.wire_type])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("count", [1, 9, _STEPS, _STEPS + 1, 3 * _STEPS - 1])
@pytest.mark.parametrize("step", [0.125, -0.3, 3e-8])
@pytest.mark.parametrize("clip", thinned([1.0, 1e6, 1e-3], 3, pytest.mark.full))
def test_it_is_written_in_blocks_as_it_is_at_once(
    wire: str, count: int, step: float, clip: float, tmp_path: Path
) -> None:
    job = job_of(count, step, wire, clip)
    found = written(job, tmp_path)
    at_once = as_sent(job, clipped_delta(job, np.full(count, step, np.float32)))
    assert found.tobytes() == at_once.tobytes()
    assert len(set(found.tolist())) == 1  # one factor for all
    norm = float(np.linalg.norm(widened(wire, found).astype(np.float64)))
    assert norm <= clip


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("step", [0.0, 0.125])
def test_its_model_may_be_longer_than_memory(wire: str, step: float, tmp_path: Path) -> None:
    job = job_of(1 << 24, step, wire)
    runner = NumpyRunner(job, None)
    tracemalloc.start()
    try:
        runner.train(tmp_path / "model", tmp_path / "update", None, b"")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "update").stat().st_size == BYTES[wire] << 24
    assert most < 4 << 20
