"""A job file that names a bundle by its folder: what is found for it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from secureflow.domain.specs.base import dump
from secureflow.engines.bundles.lock import parse_lock
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.bundlefiles import read_bundle
from secureflow.sdk.localcode import NO_ENVIRONMENT, local_code

CODE = """
import numpy as np

class Model:
    def __init__(self, settings, seed):
        self.settings, self.seed = settings, seed
    def initial(self):
        width = self.settings.get("width", 3)
        return {"w": np.full((2, width), self.seed, "float32"), "n": np.int64(4)}
    def prepare(self, training, validation): pass
    def train(self, weights, round): return weights
    def evaluate(self, weights): return {}
"""
LOCK = b"numpy==2.0.0 --hash=sha256:" + b"0" * 64 + b"\n"


@pytest.fixture(name="base")
def _base(tmp_path: Path) -> Path:
    (tmp_path / "jobs" / "churn").mkdir(parents=True)
    (tmp_path / "jobs" / "churn" / "model.py").write_text(CODE)
    (tmp_path / "jobs" / "lock.txt").write_bytes(LOCK)
    return tmp_path / "jobs"


def job(**changes: Any) -> dict[str, Any]:
    model = {"family": "bundle", "folder": "churn", "lock": "lock.txt", **changes}
    model = {name: one for name, one in model.items() if one is not None}
    return {"kind": "training", "plan": {"seed": 9}, "model": model}


def refused(base: Path, asked: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refusal:
        local_code(asked, base)
    assert refusal.value.hint or refusal.value.code == "invalid_file"
    return refusal.value


@pytest.mark.parametrize(
    "model", [None, "mlp", {"family": "mlp", "folder": "x"}, {"family": "bundle", "bundle": {}}]
)
def test_a_job_that_names_no_folder_is_as_it_was(base: Path, model: Any) -> None:
    asked = {"model": model, "plan": 7}
    assert local_code(asked, base) == (asked, None)


def test_digest_tensors_and_environment_are_found(base: Path) -> None:
    settings = {"width": 5, "rates": [0.1, 0.2], "on": True}
    asked = job(settings=settings, sums=["rows", "loss"], seconds=30)
    made, code = local_code(asked, base)
    assert code is not None
    assert made["plan"] == asked["plan"]
    assert (
        made["model"]
        == dump(code.model)
        == {
            "family": "bundle",
            "bundle": {
                "digest": read_bundle(base / "churn").digest,
                "entry": "model:Model",
                "environment": parse_lock(LOCK).digest,
            },
            "weights": [
                {"name": "w", "shape": [2, 5], "dtype": "float32"},
                {"name": "n", "shape": [], "dtype": "int64"},
            ],
            "sums": ["rows", "loss"],
            "settings": settings,
            "seconds": 30,
        }
    )
    first = load(code.weights())
    np.testing.assert_array_equal(first["w"], np.full((2, 5), 9.0, np.float32))
    assert (first["n"].shape, int(first["n"])) == ((), 4)
    assert sorted(one.name for one in (base / "churn").iterdir()) == ["model.py"]
    assert local_code(made, base)[0] == made  # what was found is a job file of its own


def test_paths_are_relative_to_the_job_file(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = local_code(job(), base)[0]
    monkeypatch.chdir(base)
    assert local_code(job(), Path())[0] == expected
    monkeypatch.chdir(tmp_path)
    assert local_code(job(), Path("jobs"))[0] == expected
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    above = job(folder="../jobs/churn", lock=str(base / "lock.txt"))
    assert local_code(above, elsewhere)[0] == expected
    assert refused(tmp_path, job()).code == "invalid_file"


def test_an_environment_is_named_by_its_digest_too(base: Path) -> None:
    made, _ = local_code(job(lock=None, environment="ab" * 32), base)
    assert made["model"]["bundle"]["environment"] == "ab" * 32


def test_a_lock_is_missing(base: Path) -> None:
    error = refused(base, job(lock=None))
    assert "pip-compile" in str(error.hint)
    assert (error.code, error.details["fields"][0]["field"]) == ("invalid_spec", "model.lock")
    made, _ = local_code(job(lock=None), base, simulated=True)
    assert made["model"]["bundle"]["environment"] == NO_ENVIRONMENT


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"lokc": "lock.txt"}, "invalid_spec", "model.lokc"),
        ({"folder": None, "foldr": "churn"}, "invalid_spec", "folder may be meant"),
        ({"folder": None}, "invalid_spec", "model.folder: it is missing"),
        ({"bundle": {}}, "invalid_spec", "model.bundle"),
        ({"weights": []}, "invalid_spec", "model.weights"),
        ({"settings": None, "entry": "model:No"}, "bundle_unusable", "no class No"),
        ({"settings": [1]}, "invalid_spec", "model.settings"),
        ({"settings": {"deep": {"a": 1}}}, "invalid_spec", "settings"),
        ({"settings": {"none": None}}, "invalid_spec", "settings"),
        ({"settings": {"rate": float("nan")}}, "invalid_spec", "settings"),
        ({"settings": {"a\nb": 1}}, "invalid_spec", "settings"),
        ({"settings": {1: 2}}, "invalid_spec", "settings"),
        ({"settings": {"long": "x" * 1001}}, "invalid_spec", "settings"),
        ({"sums": ["Rows"]}, "invalid_spec", "sums"),
        ({"seconds": 0}, "invalid_spec", "seconds"),
        ({"environment": "torch", "lock": None}, "invalid_spec", "environment"),
        ({"entry": "model"}, "invalid_spec", "such as model:Model"),
        ({"entry": "model.Model"}, "invalid_spec", "model.entry: 'model.Model' does not name"),
        ({"entry": "../x:Y"}, "invalid_spec", "entry"),
        ({"entry": "model:Other"}, "bundle_unusable", "no class Other"),
        ({"entry": "other:Model"}, "bundle_unusable", "other"),
        ({"lock": "no.txt"}, "invalid_file", "no.txt"),
        ({"lock": "churn"}, "invalid_file", "churn"),
        ({"folder": "no"}, "invalid_file", "no"),
        ({"settings": {"width": "x"}}, "bundle_failed", "(model.py, line 9)"),
    ],
)
def test_what_is_wrong_is_named(base: Path, changes: dict[str, Any], code: str, told: str) -> None:
    error = refused(base, job(**changes))
    assert error.code == code
    assert told in f"{error.message} {error.hint} {error.details}"


def test_wide_numbers_are_rounded_as_in_what_training_returns(base: Path) -> None:
    (base / "churn" / "model.py").write_text(CODE.replace('"float32"', '"float64"'))
    made, code = local_code(job(), base)
    assert code is not None
    assert made["model"]["weights"][0]["dtype"] == code.initial["w"].dtype.name == "float32"
    (base / "churn" / "model.py").write_text(CODE.replace("np.int64(4)", "np.int16(4)"))
    assert refused(base, job()).hint == "Return it so: .astype('int64')."


def test_a_folder_without_files_is_told(base: Path) -> None:
    (base / "empty").mkdir()
    error = refused(base, job(folder="empty"))
    assert (error.code, "no file of a bundle" in error.message) == ("invalid_file", True)


def test_a_plan_is_named_in_full(base: Path) -> None:
    error = refused(base, {**job(), "plan": {"learnig_rate": 1}})
    assert "plan.learnig_rate" in error.message


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("class Model:\n    def f(:\n", "invalid syntax (model.py, line 2)"),
        ("import no_such_library", "no_such_library"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (model.py, line 2)"),
        (CODE.replace('"float32"', '"complex64"'), "complex64"),
        (CODE.replace('return {"w"', 'return {}\n        return {"w"'), "gave no tensor"),
        (CODE.replace('return {"w"', 'return 5, {"w"'), "a dict"),
        (CODE.replace('"n"', '"n\\n"'), "name"),
        (CODE.replace("np.int64(4)", "np.zeros(0, 'f4')"), "shape"),
    ],
)
def test_code_that_is_wrong_says_where(base: Path, code: str, told: str) -> None:
    (base / "churn" / "model.py").write_text(code)
    error = refused(base, job())
    refused_by = {"bundle_unusable", "bundle_failed", "bundle_output_refused", "invalid_spec"}
    assert error.code in refused_by
    assert told in f"{error.message} {error.details}"
    assert sorted(one.name for one in (base / "churn").iterdir()) == ["model.py"]


def test_a_plan_that_is_wrong_is_refused_before_code_runs(base: Path) -> None:
    (base / "churn" / "model.py").write_text("raise SystemExit('it ran')")
    asked = {**job(), "plan": {"seed": -1}}
    assert refused(base, asked).code == "invalid_spec"


def test_a_lock_that_is_none_and_a_file_that_is_no_source(base: Path) -> None:
    (base / "lock.txt").write_bytes(b"numpy\n")
    assert refused(base, job()).code == "malformed_lock"
    (base / "lock.txt").write_bytes(LOCK)
    (base / "churn" / "weights.bin").write_bytes(b"\x00\xff")
    assert refused(base, job()).code in {"bundle_refused", "invalid_file"}
