"""`secureflow simulate` runs the numeric code of workers: a choice before NumPy is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secureflow.kit.kernels import same_kernels

JOB: dict[str, Any] = {
    "features": {
        "numeric": [{"column": "x", "bounds": [-3, 3]}],
        "label": {"column": "y", "positive": "1"},
    },
    "model": {"family": "logistic_regression"},
    "plan": {"rounds": 1, "validation": 0.0, "order": "public"},
}
NOTE = "last bits of the model may differ"
RUN = """
import os, sys

class Look:
    def find_spec(self, name, *_):
        if name == "numpy":
            print("NumPy with", os.environ.get("OPENBLAS_CORETYPE"),
                  os.environ.get("OPENBLAS_NUM_THREADS"))

sys.meta_path.insert(0, Look())
from secureflow.cli.main import main
sys.argv[:1] = ["secureflow"]
main()
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    rows = "".join(f"{n / 20 - 1},{n % 2}\n" for n in range(40))
    (tmp_path / "rows.csv").write_text(f"x,y\n{rows}")
    job, table = str(tmp_path / "job.json"), str(tmp_path / "rows.csv")
    return ["simulate", job, "--data", table, "--parties", "2"]


@pytest.mark.skipif(not same_kernels(), reason="this processor has no AVX2")
def test_it_chooses_before_numpy_is_loaded(words: list[str]) -> None:
    chosen = {*same_kernels(), "OPENBLAS_NUM_THREADS"}
    inherited = {name: value for name, value in os.environ.items() if name not in chosen}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], env={**inherited, "SECUREFLOW_LANG": "en"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "NumPy with Haswell 1" in done.stdout
    assert NOTE not in done.stdout + done.stderr


@pytest.mark.skipif(not same_kernels(), reason="this processor has no AVX2")
@pytest.mark.parametrize("order", ["public", "secret"])
def test_a_python_that_chose_otherwise_is_told(
    words: list[str], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secureflow import simulate

    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    plan = {"rounds": 1, "validation": 0.0, **({"order": "public"} if order == "public" else {})}
    told = " ".join(simulate({**JOB, "plan": plan}, words[3], parties=2).notes)
    assert (NOTE in told) == (order == "public")
    assert ("OPENBLAS_CORETYPE='Haswell'" in told) == (order == "public")
    monkeypatch.undo()
    assert simulate({**JOB, "plan": plan}, words[3], parties=2).notes == ()
