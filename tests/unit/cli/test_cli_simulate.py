"""`secureflow simulate` runs the numeric code of workers: a choice before NumPy is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secureflow.cli.main import run
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


CODE = """
import numpy as np

class Model:
    def __init__(self, settings, seed): pass
    def initial(self): return {"w": np.zeros(1)}
    def prepare(self, training, validation): print("rows are here")
    def train(self, weights, round): return step(weights, round)
    def evaluate(self, weights): return {"rows": 1}

def step(weights, round):
    print("step", round)
    BODY
    return weights
"""


@pytest.fixture
def own(tmp_path: Path, words: list[str]) -> list[str]:
    """Return the command for a job with code of one's own."""
    model = {"family": "bundle", "folder": "own", "sums": ["rows"]}
    (tmp_path / "job.json").write_text(json.dumps({**JOB, "model": model}))
    (tmp_path / "own").mkdir()
    return words


def written(tmp_path: Path, body: str) -> Path:
    (tmp_path / "own" / "model.py").write_text(CODE.replace("BODY", body))
    return tmp_path.resolve() / "own" / "model.py"


@pytest.mark.parametrize(
    ("lang", "told"),
    [("en", "round 1: The bundle's train failed"), ("zh", "第 1 轮：代码包的 train 在此处")],
)
def test_ones_own_code_that_fails_shows_its_lines(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, lang: str, told: str
) -> None:  # fmt: skip
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    path = written(tmp_path, "weights['\x1b[31m']")
    assert run([*own, "-o", "json"]) == 8
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b[31m" not in err.replace("\x1b[31mbundle", "bundle")  # but for the code's colour
    lines = err.splitlines()
    start = lines.index("Traceback (most recent call last):")
    assert lines[start - 2 : start] == ["party-001 | rows are here", "party-001 | step 1"]
    frames = [one.strip() for one in lines[start:] if one.startswith("  File ")]
    assert frames == [f'File "{path}", line 8, in train', f'File "{path}", line 13, in step']
    assert told in lines[-1]
    assert "(model.py" in lines[-1] or "（model.py" in lines[-1]


def test_one_wrong_job_takes_no_figures_of_another_away(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "pass")
    job = json.loads((tmp_path / "job.json").read_text())
    (tmp_path / "wrong.json").write_text(json.dumps({**job, "plan": {"rounds": -1}}))
    at = own.index(str(tmp_path / "job.json")) + 1
    assert run([*own[:at], str(tmp_path / "wrong.json"), *own[at:], "-o", "json"]) == 2
    (outcome,) = json.loads(capsys.readouterr().out)
    assert outcome["name"] == "job"
    (tmp_path / "wrong.json").write_text("[")
    assert run([*own[:at], str(tmp_path / "wrong.json"), *own[at:]]) == 2
    assert "round" not in capsys.readouterr().err  # nothing ran


def test_what_code_says_leaves_the_json_alone(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "import warnings; warnings.showwarning('odd', UserWarning, 'x.py', 3)")
    assert run([*own, "-o", "json"]) == 0
    out, err = capsys.readouterr()
    (outcome,) = json.loads(out)
    assert outcome["notes"] == ["A warning of the code (2 ×): UserWarning: odd (x.py, line 3)"]
    assert err.count("party-002 | step 1\n") == 1
    assert err.count("UserWarning") == 1


@pytest.mark.parametrize("private", [True, False])
def test_figures_that_carry_noise_are_said_to(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], private: bool
) -> None:
    numeric = [{"column": "x", "bounds": [-3, 3], "scale": "bounds"}]
    job = {**JOB, "features": {**JOB["features"], "numeric": numeric}}
    job["plan"] = {"rounds": 1, "validation": 0.3}
    if private:
        job["privacy"] = {"delta": 1e-3, "noise_multiplier": 1.0, "rows": 40, "metrics_noise": 1.0}
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert run(words) == 0
    err = capsys.readouterr().err
    told = [one for one in err.splitlines() if one.lstrip().startswith("round")]
    assert told, err
    assert {one.endswith("noised") or "  noised  " in one for one in told} == {private}
