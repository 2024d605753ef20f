"""A bundle in a simulation: the class of a folder, called in this process, and nothing left."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from secureflow import simulate
from secureflow.engines.training.sections import sections
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.simulation import test_simulation
from tests.unit.simulation.test_simulation import FEATURES, table

__all__ = ["table"]
PLAN = {**test_simulation.PLAN, "rounds": 3}

GOOD = """
import numpy as np
from parts.chances import chances

class Model:
    def __init__(self, settings, seed):
        self.rate = settings.get("rate", 0.5)
    def initial(self):
        return {"coef": np.zeros(5, "float32"), "intercept": np.zeros(1, "float32")}
    def prepare(self, training, validation):
        self.training, self.validation = training, validation
    def train(self, weights, round):
        x, y = self.training["inputs"], self.training["labels"]
        for _ in range(20):
            error = chances(weights, x) - y
            weights["coef"] -= self.rate * (x.T @ error) / len(y)
            weights["intercept"] -= self.rate * error.mean()
        return weights
    def evaluate(self, weights):
        x, y = self.validation["inputs"], self.validation["labels"]
        p = np.clip(chances(weights, x), 1e-6, 1 - 1e-6)
        loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()
        return {"rows": len(y), "loss": loss, "correct": ((p > 0.5) == y).sum()}
"""
CHANCES = """
import numpy as np

def chances(weights, x):
    return 1 / (1 + np.exp(-(x @ weights["coef"] + weights["intercept"])))
"""


def folder(place: Path, source: str = GOOD, name: str = "churn", **files: str) -> dict[str, Any]:
    """Write a bundle, and return the job that names it."""
    (place / name / "parts").mkdir(parents=True, exist_ok=True)  # a package without a file
    (place / name / "model.py").write_text(source)
    (place / name / "parts" / "chances.py").write_text(files.pop("chances", CHANCES))
    for other, text in files.items():
        (place / name / f"{other}.py").write_text(text)
    model = {"family": "bundle", "folder": str(place / name), "sums": ["rows", "loss", "correct"]}
    return {"kind": "training", "features": FEATURES, "plan": PLAN, "protection": "sealed",
            "model": model}  # fmt: skip


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep temporary files where they can be counted."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def left(place: Path, name: str = "churn") -> list[str]:
    """Return what there is beside the bundle's own files, and in this process."""
    files = {"churn/model.py", "churn/parts/chances.py", "churn/parts", "churn", "temporary"}
    found = [str(one.relative_to(place)) for one in place.rglob("*")]
    found = [one for one in found if one.replace(name, "churn") not in files]
    return found + [one for one in ("model", "parts", "parts.chances") if one in sys.modules]


def test_a_bundle_learns_and_leaves_nothing(table: pa.Table, tmp_path: Path) -> None:
    path = list(sys.path)
    job = folder(tmp_path)
    outcomes = [simulate(job, table, parties=3) for _ in range(2)]
    assert outcomes[0].digest == outcomes[1].digest
    assert outcomes[0].metrics["correct"] > 0.75
    assert outcomes[0].metrics["loss"] < outcomes[0].history[0]["loss"]
    assert outcomes[0].spec.bundle is not None
    told = sections(outcomes[0].spec, [1.0])[0]["rows"]
    assert isinstance(told, list)
    assert told[0] == {"label": "Bundle", "value": outcomes[0].spec.bundle.digest}
    assert left(tmp_path) == []
    assert sys.path == path


def test_a_round_that_changes_nothing_is_the_last_that_does_anything(
    table: pa.Table, tmp_path: Path
) -> None:
    """As at owners, who send the update that they recorded for a model again: it learned here."""
    warms = GOOD.replace("for _ in range(20):", "for _ in range(20 * (round > 1)):")
    outcome = simulate(folder(tmp_path, warms), table, parties=2)
    assert outcome.spec.initial is not None
    assert outcome.digest == outcome.spec.initial.model
    assert len({row["loss"] for row in outcome.history}) == 1
    (note,) = [one for one in outcome.notes if "unchanged" in one]
    assert note.startswith("Round 2 began")


def test_a_bundle_starts_from_the_weights_that_its_job_names(
    table: pa.Table, tmp_path: Path
) -> None:
    job, own = folder(tmp_path), simulate(folder(tmp_path), table, parties=2)
    assert own.spec.initial is not None
    named = {"model": own.spec.initial.model, "layout": own.spec.initial.layout}
    assert simulate({**job, "initial": named}, table, parties=2).digest == own.digest
    other = {**job, "initial": {**named, "model": own.digest}}
    with pytest.raises(SecureFlowError) as refused:
        simulate(other, table, parties=2)
    assert refused.value.code == "missing_data"
    (tmp_path / "w.safetensors").write_bytes(own.file.to_bytes())
    went_on = simulate(other, table, parties=2, initial=tmp_path / "w.safetensors")
    assert went_on.history[0]["loss"] == pytest.approx(own.metrics["loss"], abs=1e-6)


def test_whoever_wants_the_model_of_a_bundle_to_compute_is_told_where_it_is(
    table: pa.Table, tmp_path: Path
) -> None:
    model = simulate(folder(tmp_path), table, parties=2).model
    assert model.tensors()["coef"].shape == (5,)
    asked = (model.to_torch, model.to_sklearn, model.torch_source, lambda: model.predict([{}]))
    for one in asked:
        with pytest.raises(SecureFlowError) as refused:
            one()
        assert refused.value.code == "needs_bundle"
        assert "Predictor.load" in refused.value.hint
        assert chinese(refused.value.message) is not None


def test_two_bundles_share_the_names_of_their_modules(table: pa.Table, tmp_path: Path) -> None:
    first = simulate(folder(tmp_path), table, parties=2)
    other = GOOD.replace("range(20)", "range(1)")
    second = simulate(folder(tmp_path / "b", other), table, parties=2)
    flatter = CHANCES.replace("np.exp(-", "np.exp(-0.5 * ")
    third = simulate(folder(tmp_path / "c", GOOD, chances=flatter), table, parties=2)
    again = simulate(folder(tmp_path), table, parties=2)
    assert again.digest == first.digest
    assert len({one.digest for one in (first, second, third)}) == 3
    assert [one.spec.bundle for one in (first, second)] != [again.spec.bundle] * 2


def test_parties_share_no_globals_of_the_code(table: pa.Table, tmp_path: Path) -> None:
    """At owners each runs in a process of its own: a simulation must not look better than that."""
    job = folder(tmp_path)
    source = GOOD.replace("import numpy as np\n", "import numpy as np\nSEEN = []\n", 1)
    source = source.replace(
        "x, y = self.training", "import parts.kept as kept; kept.SEEN.append(1); SEEN.append(1)\n"
        "        x, y = self.training"
    )  # fmt: skip
    source = source.replace('"correct": ((p > 0.5) == y).sum()', '"correct": most(len(y))')
    source += """
def most(rows):
    import parts.kept as kept
    assert len(SEEN) == len(kept.SEEN)
    return rows * min(len(SEEN) / 100, 1)
"""
    (tmp_path / "churn" / "model.py").write_text(source)
    (tmp_path / "churn" / "parts" / "kept.py").write_text("SEEN = []\n")
    outcome = simulate(job, table, parties=3)
    rounds = len(outcome.history)
    assert outcome.metrics["correct"] == pytest.approx(rounds / 100, abs=1e-6)


def test_a_job_that_names_no_sums_says_that_nothing_is_measured(
    table: pa.Table, tmp_path: Path
) -> None:
    job = folder(tmp_path)
    del job["model"]["sums"]
    notes = [str(one) for one in simulate(job, table, parties=2).notes]
    assert any("model.sums" in one for one in notes)


def test_an_edit_is_seen_at_once(table: pa.Table, tmp_path: Path) -> None:
    """Even one of the same length within the same second."""
    job = folder(tmp_path)
    first = simulate(job, table, parties=2)
    job = folder(tmp_path, GOOD.replace('"rate", 0.5', '"rate", 0.1'))
    assert simulate(job, table, parties=2).digest != first.digest


def test_the_folder_may_be_where_one_works(
    table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = folder(tmp_path)
    expected = simulate(job, table, parties=2).digest
    monkeypatch.syspath_prepend(str(tmp_path / "churn"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import model  # type: ignore[import-not-found]

    try:
        assert simulate(job, table, parties=2).digest == expected
        assert sys.modules["model"] is model
        assert str(tmp_path / "churn") in sys.path
    finally:
        for name in ("model", "parts", "parts.chances"):
            sys.modules.pop(name, None)


TRAIN = "    def train(self, weights, round):\n"
FAILS: dict[str, tuple[str, str, str]] = {
    "it raises": (
        TRAIN + "        raise ValueError('row 7')\n",
        "ValueError: row 7 (model.py, line 13)",
        "",
    ),
    "a library raises": (
        TRAIN + "        return np.linalg.inv(np.zeros((2, 2)))\n",
        "LinAlgError: Singular matrix (model.py, line 13)",
        "",
    ),
    "a part raises": ("", "ZeroDivisionError: division by zero (chances.py, line 5)", "1 / 0"),
    "it ends": (TRAIN + "        raise SystemExit\n", "SystemExit (model.py, line 13)", ""),
    "another shape": (TRAIN + "        return {**weights, 'coef': weights['coef'][:2]}\n",
                      "The bundle's train failed here: coef has the shape [2], not [5].", ""),
    "another name": (TRAIN + "        return {'w': weights['coef']}\n",
                     "The bundle's train failed here: it returned w, not coef, intercept.", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILS)
def test_an_error_names_its_line(table: pa.Table, tmp_path: Path, name: str) -> None:
    body, told, instead = FAILS[name]
    source = GOOD.replace(TRAIN, body + TRAIN.replace("train", "unused")) if body else GOOD
    chances = CHANCES.replace("1 / (1", f"{instead} / (1") if instead else CHANCES
    with pytest.raises(SecureFlowError) as refusal:
        simulate(folder(tmp_path, source, chances=chances), table, parties=2)
    assert refusal.value.code == "bundle_failed"
    assert told in refusal.value.message
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("class Model:\n    def f(:\n", "invalid syntax (model.py, line 2)"),
        ("import no_such_library\n", "no_such_library is not installed here"),
        ("x = 1\n", "failed here: model has no class Model."),
        ("class Model:\n    def __init__(self, a, b): pass\n", "no method initial, prepare"),
    ],
)
def test_what_cannot_run_says_why(table: pa.Table, tmp_path: Path, source: str, told: str) -> None:
    with pytest.raises(SecureFlowError) as refusal:
        simulate(folder(tmp_path, source), table, parties=2)
    assert refusal.value.code == "bundle_unusable"
    assert told in refusal.value.message
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "entry", "told", "hint"),
    [
        (
            "weights['coef'].astype('int64')",
            "",
            "coef 的类型是 int64，而不是 float32",
            ".astype('float32')",
        ),
        ("weights['coef'][:2]", "", "coef 的形状是 [2]，而不是 [5]", "请改正"),
        ("weights['coef'] @ x", "", "（model.py，第 14 行）", "inputs: float32 ["),
        ("", "other:Model", "代码包中没有入口所指的模块 other", "model.py, parts"),
        ("", "model:Other", "model 没有类 Other", "请改正"),
    ],
)
def test_why_code_fails_is_told_in_the_readers_language(
    table: pa.Table, tmp_path: Path, change: str, entry: str, told: str, hint: str
) -> None:
    body = f"        x = self.training['inputs']\n        return {{**weights, 'coef': {change}}}\n"
    source = GOOD.replace(TRAIN, TRAIN + body) if change else GOOD
    job = folder(tmp_path, source)
    job["model"] |= {"entry": entry} if entry else {}
    with pytest.raises(SecureFlowError) as refusal:
        simulate(job, table, parties=2)
    assert told in str(chinese(refusal.value.message))
    assert hint in str(chinese(refusal.value.hint))


def test_a_wrong_number_of_inputs_is_told_with_the_right_one(
    table: pa.Table, tmp_path: Path
) -> None:
    source = GOOD.replace("np.zeros(5,", 'np.zeros(settings["features"],').replace(
        "def initial(self):", "def initial(self, settings=None):\n        settings = self.settings"
    )
    job = folder(
        tmp_path, source.replace("self.rate =", "self.settings = settings\n        self.rate =")
    )
    job["model"] |= {"settings": {"features": 7}}
    with pytest.raises(SecureFlowError) as refusal:
        simulate(job, table, parties=2)
    assert refusal.value.hint == ("The job's settings.features is 7, but the rows have 5 inputs.")


@pytest.mark.parametrize("name", ["json", "numpy", "__main__"])
def test_no_module_takes_the_place_of_another(table: pa.Table, tmp_path: Path, name: str) -> None:
    with pytest.raises(SecureFlowError) as refusal:
        simulate(folder(tmp_path, GOOD, **{name: "x = 1\n"}), table, parties=2)
    assert refusal.value.code in {"bundle_unusable", "bundle_refused"}
    assert name in refusal.value.message


@pytest.mark.parametrize(
    ("sums", "told"),
    [
        ("{'rows': 1}", "evaluate gave rows"),
        ("{'rows': 1, 'loss': np.nan, 'correct': 1}", "evaluate gave loss = NaN."),
        ("{'rows': 1, 'loss': 1, 'correct': 1, 'more': 1}", "more, rows; the job declares rows,"),
    ],
)
def test_sums_are_those_of_the_job(table: pa.Table, tmp_path: Path, sums: str, told: str) -> None:
    source = GOOD.replace(
        "        x, y = self.validation", f"        return {sums}\n        x, y = self.validation"
    )
    with pytest.raises(SecureFlowError) as refusal:
        simulate(folder(tmp_path, source), table, parties=2)
    assert refusal.value.code == "bundle_output_refused"
    assert told in refusal.value.message


def test_noise_per_party_is_added_outside_of_the_code(table: pa.Table, tmp_path: Path) -> None:
    numeric = [{**one, "scale": "bounds"} for one in FEATURES["numeric"]]
    privacy = {"delta": 1e-5, "unit": "party", "mechanism": "central", "noise_multiplier": 1.0,
               "rows": 1, "party_unit_acknowledged": True}  # fmt: skip
    plan = {"rounds": 2, "validation": 0.0}
    job = {**folder(tmp_path), "features": {**FEATURES, "numeric": numeric}, "plan": plan,
           "privacy": privacy, "limits": {"patience_seconds": 700}}  # fmt: skip
    outcomes = [simulate(job, table, parties=4) for _ in range(2)]
    assert outcomes[0].digest != outcomes[1].digest
    assert outcomes[0].privacy is not None
    record = {**privacy, "unit": "record", "mechanism": "dp-sgd", "rows": 900}
    with pytest.raises(SecureFlowError) as refusal:
        simulate({**job, "privacy": record}, table, parties=4)
    assert refusal.value.code == "contradictory_spec"
