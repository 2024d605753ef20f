"""Simulated jobs whose changes are compressed: they learn, and what is left out comes later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from secureflow import simulate
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.compression_rules import compression_problem
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing import tensor_views
from secureflow.engines.training.encodings import masked_plan
from secureflow.engines.training.sending import (
    change_bytes,
    compressed,
    read_change,
    update_form,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.training.parties import roster

ROWS = 600
PLAN = {"rounds": 8, "batch_size": 32, "learning_rate": 0.1, "validation": 0.2}
INT8 = {"method": "int8"}
TOP = {"method": "top_k", "share": 0.3}
CLOSE = {"clip": 1.0}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(5)
    x, z = draws.normal(size=(2, ROWS))
    chance = 1 / (1 + np.exp(-2 * x + z))
    return pa.table({"x": x, "z": z, "y": np.where(draws.random(ROWS) < chance, "yes", "no")})


def job(**more: Any) -> dict[str, Any]:
    columns = [{"column": one, "bounds": [-4, 4]} for one in ("x", "z")]
    return {
        "kind": "training",
        "features": {"label": {"column": "y", "positive": "yes"}, "numeric": columns},
        "model": {"family": "mlp", "hidden": [4]},
        "plan": PLAN,
        "protection": "sealed",
    } | more


@pytest.fixture(scope="module")
def plain(table: pa.Table) -> Any:
    return simulate(job(), table, parties=3)


@pytest.mark.parametrize(
    "change",
    [
        {"compression": INT8},
        {"compression": TOP},
        {"compression": INT8, "protection": "secagg", "quantisation": CLOSE},
        {"compression": INT8, "protection": "secagg", "quantisation": CLOSE,
         "limits": {"max_weight": 1}},
        pytest.param({"compression": INT8, "plan": {**PLAN, "aggregation": {"rule": "median"}}},
                     marks=pytest.mark.full),
        {"compression": INT8, "plan": {**PLAN, "strategy": {"name": "feddyn", "alpha": 0.1}}},
    ],
)  # fmt: skip
def test_a_compressed_job_learns(table: pa.Table, plain: Any, change: dict[str, Any]) -> None:
    outcome = simulate(job(**change), table, parties=3)
    assert outcome.metrics["loss"] < plain.metrics["loss"] + 0.05
    assert outcome.digest != plain.digest


def spec_of(size: int = 40, **more: Any) -> TrainingSpec:
    draft: dict[str, Any] = job(**more)
    draft["features"]["numeric"] = [
        {"column": f"x{at}", "bounds": [-4, 4]} for at in range(size)
    ]  # fmt: skip
    return parse(
        TrainingSpec,
        draft | {"project": "prj_0123456789", "name": "n", "purpose": "p", "submitter": "usr_a",
                 "roster": [dump(one) for one in roster(3)]},
    )  # fmt: skip


def received(spec: TrainingSpec, sent: Any) -> np.ndarray:
    """Return what an enclave reads of what a party wrote, or what a sum holds of it."""
    data = b"".join(part.tobytes() for part in sent)
    assert len(data) == change_bytes(spec, "train")
    tensors = tensor_views(update_form(spec, "train")[:-1], memoryview(data))
    return np.asarray(read_change(spec, "train", tensors)[:])


@pytest.mark.parametrize(
    "change",
    [
        {"compression": INT8},
        {"compression": {"method": "top_k", "share": 0.05}},
        {"compression": INT8, "protection": "secagg", "quantisation": CLOSE},
    ],
)
def test_nothing_is_lost_in_the_long_run(change: dict[str, Any]) -> None:
    """What was sent, and what is left, add up to what was to be sent."""
    spec, draws = spec_of(**change), np.random.default_rng(1)
    size = spec.update_parameters
    left, wanted, got = np.zeros(size, np.float32), np.zeros(size), np.zeros(size)
    for _ in range(30):
        step = draws.normal(scale=0.02, size=size).astype(np.float32)
        sent, left = compressed(spec, step, left)
        wanted += step
        got += received(spec, sent)
    np.testing.assert_allclose(got + left, wanted, atol=1e-5)
    assert np.abs(left).max() < np.abs(wanted).max()
    assert np.abs(left).max() > 1e-6


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_no_rounding_lifts_an_update_over_the_cap(protection: str) -> None:
    limits = {"clip_norm": 0.5}
    spec = spec_of(compression=INT8, protection=protection, limits=limits, quantisation=CLOSE)
    draws, size = np.random.default_rng(2), spec.update_parameters
    for scale in (0.01, 1.0, 100.0):
        change = draws.normal(scale=scale, size=size).astype(np.float32)
        sent, _ = compressed(spec, change, np.zeros(size, np.float32))
        assert float(np.linalg.norm(received(spec, sent).astype(np.float64))) <= 0.5 + 1e-7


def test_what_they_save() -> None:
    """Bytes of an update's change in each form, and of a masked vector's elements."""
    whole = spec_of()
    size = whole.update_parameters
    assert change_bytes(whole, "train") == 4 * size
    assert change_bytes(spec_of(compression=INT8), "train") == size + 4
    assert change_bytes(spec_of(compression=TOP), "train") == 8 * -(-3 * size // 10)
    for form in ({}, {"wire": "bfloat16"}, {"compression": INT8}, {"compression": TOP}):
        spec = spec_of(333, **form)
        assert change_bytes(spec, "train") == spec.change_bytes
    masked = {"protection": "secagg", "quantisation": CLOSE}
    alike = masked | {"limits": {"max_weight": 1}}

    def element(**more: Any) -> int:
        return masked_plan(spec_of(**more), "job_a", "ef" * 32, "train").ring.itemsize

    assert (element(**masked), element(compression=INT8, **masked)) == (8, 4)
    assert (element(**alike), element(compression=INT8, **alike)) == (4, 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"compression": TOP, "protection": "secagg"}, "masks hide values and not their places"),
        ({"compression": TOP, "plan": {**PLAN, "aggregation": {"rule": "median"}}}, "median"),
        ({"compression": INT8, "plan": {**PLAN, "strategy": "scaffold"}}, "scaffold"),
        ({"compression": INT8, "plan": {**PLAN, "strategy": "fednova"}}, "fednova"),
        ({"compression": INT8, "wire": "float16"}, "int8"),
        ({"compression": INT8, "model": {"family": "ridge"},
          "plan": {"rounds": 1, "learning_rate": 1.0}}, "ridge"),
        ({"wire": "float16", "protection": "secagg"}, "whole numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_compressed_is_refused(
    table: pa.Table, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        simulate(job(**change), table, parties=3)
    assert caught.value.code == "contradictory_spec"
    assert told in str(caught.value)


def test_noise_and_compression_contradict_each_other() -> None:
    privacy = {"delta": 1e-5, "noise_multiplier": 0.5, "rows": ROWS, "sampling": 1.0}
    spec = spec_of(2, compression=INT8, privacy=privacy)
    problem = compression_problem(spec)
    assert problem is not None
    assert problem[0] == "compression"
    assert "noise is measured for every value" in str(problem[1])
