"""Families known from scikit-learn in simulation: each one, and the example job files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
import yaml

from secureflow import simulate
from secureflow.cli.main import run
from tests.full import thinned

pytest.importorskip("sklearn", reason="needs the extra sklearn")

EXAMPLES = Path(__file__).parents[3] / "examples"
ROWS = 600


@pytest.fixture(scope="module")
def patients() -> pa.Table:
    draws = np.random.default_rng(5)
    wards = np.array(["cardiology", "oncology", "surgery"])
    which = draws.integers(0, 3, ROWS)
    age = draws.normal(np.array([75, 55, 30])[which], 6)
    pulse = draws.normal(np.array([110, 75, 60])[which], 8)
    return pa.table(
        {
            "age": np.clip(age, 0, 110),
            "pulse": np.clip(pulse, 30, 220),
            "sex": draws.choice(["f", "m"], ROWS),
            "visits": draws.poisson(np.array([6, 2, 1])[which]).astype(float),
            "ward": wards[which],
        }
    )


FEATURES: dict[str, Any] = {
    "numeric": [
        {"column": "age", "bounds": [0, 110], "scale": "bounds"},
        {"column": "pulse", "bounds": [30, 220], "scale": "bounds"},
    ],
    "categorical": [{"column": "sex", "categories": ["f", "m"]}],
}
WARD = {"column": "ward", "classes": ["cardiology", "oncology", "surgery"]}
CARDIOLOGY = {"column": "ward", "positive": "cardiology"}
PULSE = {"column": "pulse", "bounds": [30, 220]}
VISITS = {"column": "visits", "bounds": [0, 40], "scale": "bounds"}
JOBS: dict[str, dict[str, Any]] = {
    "gaussian_nb": {"label": WARD, "plan": {"rounds": 1}},
    "multinomial_nb": {"label": WARD, "plan": {"rounds": 1},
                       "features": {**FEATURES, "numeric": [VISITS]}},
    "kmeans": {"label": None, "model": {"clusters": 3}},
    "sgd_classifier": {"label": WARD, "plan": {"learning_rate": 0.5}},
    "sgd_regressor": {"label": PULSE, "features": {**FEATURES, "numeric": FEATURES["numeric"][:1]}},
    "mlp_classifier": {"label": CARDIOLOGY, "model": {"hidden": [8]},
                       "plan": {"learning_rate": 0.01}},
    "mlp_regressor": {"label": PULSE, "features": {**FEATURES, "numeric": FEATURES["numeric"][:1]},
                      "model": {"hidden": [8]}, "plan": {"learning_rate": 0.01}},
}  # fmt: skip


@pytest.mark.parametrize("protection", ["sealed", pytest.param("secagg", marks=pytest.mark.full)])
@pytest.mark.parametrize("family", thinned(JOBS, 2, pytest.mark.full))
def test_every_family_learns(patients: pa.Table, family: str, protection: str) -> None:
    asked = JOBS[family]
    job = {
        "features": {**asked.get("features", FEATURES), "label": asked["label"]},
        "model": {"family": family, **asked.get("model", {})},
        "plan": {"rounds": 10, "batch_size": 16, "order": "public", **asked.get("plan", {})},
        "protection": protection,
    }
    outcome = simulate(job, patients, parties=3)
    found = outcome.metrics
    if family == "kmeans":
        assert found["loss"] < 0.6 * outcome.history[0]["loss"]
    elif "r2" in found:
        assert found["r2"] > 0.3
    else:
        assert found["accuracy"] > (0.55 if family == "multinomial_nb" else 0.75)
    assert len(outcome.model.predict(patients.to_pandas())) == ROWS
    # The optimisers of a second run begin anew.
    assert simulate(job, patients, parties=3).digest == outcome.digest


@pytest.mark.parametrize("name", ["network.yaml", "clusters.yaml"])
def test_the_example_job_files_are_run(
    patients: pa.Table, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = EXAMPLES / name
    lines = path.read_text().splitlines()
    assert len(lines) <= 20
    pa_csv.write_csv(patients, tmp_path / "patients.csv")
    command = lines[0].partition(" (")[0].removeprefix("# secureflow ").split()
    asked = [
        {str(Path("examples") / name): str(path), "patients.csv": str(tmp_path / "patients.csv")}
        .get(word, word)
        for word in command
    ]  # fmt: skip
    saved = tmp_path / "model.safetensors"
    assert run([*asked, "--save", str(saved)]) == 0
    assert "loss" in capsys.readouterr().out
    from secureflow.sdk.prediction import Predictor

    predicted = Predictor.load(saved).predict(patients)
    if name == "network.yaml":
        assert float(np.mean(predicted == np.array(patients["ward"].to_pylist()))) > 0.8
    else:
        assert len(set(predicted)) == 3
    assert yaml.safe_load(path.read_text())["kind"] == "training"
