"""The families in NumPy on images, arrays and texts: sealed, masked, and with noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.beside_world import SIDE, shares, spec, table
from unit.engines.training.family_world import federate, federate_masked, private

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.models import initial_state
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor
from tests.full import thinned

SEEN = ("images", "arrays", "texts")
SOFTMAX: dict[str, Any] = {"family": "softmax"}
LEARNERS: list[tuple[dict[str, Any], str]] = [
    ({"family": "logistic_regression"}, "binary"),
    (SOFTMAX, "classes"),
    ({"family": "linear"}, "number"),
    ({"family": "mlp", "hidden": [8]}, "classes"),
]


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize(("model", "target"), LEARNERS)
def test_a_family_learns(seen: str, model: dict[str, Any], target: str, tmp_path: Path) -> None:
    rate = 0.05 if target == "number" else 0.3
    job = spec(seen, model, target, plan={"rounds": 12, "learning_rate": rate})
    state, sums = federate(job, shares(), tmp_path)
    told = summarise(job, sums)
    assert told.get("r2", told.get("accuracy", 0)) > 0.75, told
    card = model_card(job, state, moments=None, metrics={}, created=0)
    found = Predictor(ModelFile(card, state)).predict(table(60, seed=9))
    wanted = table(60, seed=9)
    if target == "number":
        assert np.corrcoef(found, wanted["price"])[0, 1] > 0.8
    else:
        known = wanted["kind"] if target == "classes" else (wanted["y"] == "yes").astype(int)
        assert (found == known).mean() > 0.75


@pytest.mark.parametrize("seen", SEEN)
def test_masked_is_sealed_up_to_the_quantisation(seen: str, tmp_path: Path) -> None:
    state, _ = federate(spec(seen, SOFTMAX), shares(), tmp_path)
    masked, _ = federate_masked(spec(seen, SOFTMAX, protection="secagg"), shares(), tmp_path)
    assert np.abs(state).max() > 0.05
    assert np.allclose(state, masked, atol=1e-4)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("noise", thinned(["shared", "enclave", "local"], 3, pytest.mark.full))
def test_a_private_model_learns(seen: str, noise: str, tmp_path: Path) -> None:
    plan = {"rounds": 30, "learning_rate": 0.6}
    job = spec(seen, SOFTMAX, plan=plan, **private(noise, 0.1, rows=240))
    run = federate_masked if noise == "shared" else federate
    _, sums = run(job, shares(), tmp_path)
    assert summarise(job, sums)["accuracy"] > 0.6


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("noise", ["enclave", "local"])
def test_no_row_can_make_a_private_party_fail(seen: str, noise: str, tmp_path: Path) -> None:
    job = spec(seen, SOFTMAX, **private(noise))
    rows = table(12)
    rows["note"][:6] = [None, "", "\ud800", "x" * 10_000, 3, float("nan")]
    rows["signal"][:3] = np.array([np.nan, np.inf, -3e38])[:, None, None]
    rows["kind"][:3] = [None, "zebra", []]
    runner = NumpyRunner(job, rows)
    initial_state(job).tofile(tmp_path / "model")
    sums = runner.train(tmp_path / "model", tmp_path / "delta", None, bytes(32))
    assert np.isfinite(np.fromfile(tmp_path / "delta", "<f4")).all()
    assert sums[0] == 1.0
    assert np.isfinite(runner.evaluate(tmp_path / "model", None, bytes(32))).all()


def test_images_of_another_shape_end_a_job_before_its_first_round() -> None:
    rows = table(12)
    rows["scan"] = np.zeros((12, SIDE + 1, SIDE, 1), np.uint8)
    for more in ({}, private("enclave")):
        with pytest.raises(SecureFlowError) as caught:
            NumpyRunner(spec("images", SOFTMAX, **more), rows)
        assert caught.value.code == "shape_mismatch"
