"""A model of a bundle predicts in one's own process, by its code and no other."""

from __future__ import annotations

import json
import py_compile
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from secureflow import simulate
from secureflow.engines.bundles import Bundle, pack
from secureflow.engines.bundles.inspection import lacks
from secureflow.engines.training.export import ModelFile
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from secureflow.sdk.prediction import Predictor
from secureflow.texts import chinese

BEGINS = """
import numpy as np


class Model:
    def __init__(self, settings, seed):
        self.scale = np.random.default_rng(seed).normal()

    def initial(self):
        return {"w": np.zeros((WIDTH,), "float32")}

    def prepare(self, training, validation):
        self.rows = training

    def train(self, weights, round):
        return {"w": weights["w"] + np.arange(1, WIDTH + 1, dtype="float32") / WIDTH}

    def evaluate(self, weights):
        return {}
"""
PREDICTS = """
    def predict(self, weights, rows):
        print("called", sorted(rows))
        assert not hasattr(self, "rows")
        z = self.scale * (rows["inputs"] @ weights["w"])
        RETURN
"""
FORMS: dict[str, tuple[Any, str]] = {
    "binary": ({"column": "kind", "positive": "b"}, "return 1 / (1 + np.exp(-z))"),
    "two": ({"column": "kind", "classes": ["a", "b"]}, "return 1 / (1 + np.exp(-z))"),
    "number": ({"column": "price", "bounds": [0, 10]}, "return np.tanh(z)"),
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draw = np.random.default_rng(1)
    return pa.table({
        "x": draw.normal(size=120), "y": draw.normal(size=120), "kind": ["a", "b"] * 60,
        "price": draw.uniform(0, 10, 120),
    })  # fmt: skip


def trained(table: pa.Table, folder: Path, form: str = "binary", ends: str = "") -> Path:
    """Return the file of a model that code in `folder / "own"` has trained."""
    label, returns = FORMS[form]
    code = folder / "own"
    code.mkdir()
    text = (BEGINS + PREDICTS.replace("RETURN", ends or returns)).replace("WIDTH", "2")
    (code / "model.py").write_text(text)
    numeric = [{"column": one, "bounds": [-3, 3], "scale": "bounds"} for one in "xy"]
    job = {
        "model": {"family": "bundle", "folder": str(code), "settings": {}},
        "features": {"label": label, "numeric": numeric},
        "plan": {"rounds": 2, "validation": 0.0, "seed": 9},
    }
    outcome = simulate(job, table, parties=2)
    (folder / "model.safetensors").write_bytes(outcome.file.to_bytes())
    return folder / "model.safetensors"


@pytest.mark.parametrize("form", sorted(FORMS))
def test_its_code_says_what_it_says_at_an_owner(
    form: str, table: pa.Table, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = trained(table, tmp_path, form)
    model = Predictor.load(file, bundle=tmp_path / "own")
    z = np.random.default_rng(9).normal() * (model.inputs(table) @ model.tensors()["w"])
    found = model.predict_frame(table)
    if form == "number":
        np.testing.assert_allclose(found["predicted"].to_numpy(), 5 + 5 * np.tanh(z), rtol=1e-5)
    else:
        chances = 1 / (1 + np.exp(-z))
        np.testing.assert_allclose(found["P(kind=b)"].to_numpy(), chances, atol=1e-6)
        likely = found["predicted"].to_numpy(zero_copy_only=False)
        np.testing.assert_array_equal(likely == ("b" if form == "two" else True), chances > 0.5)
    assert "called ['inputs']" in capfd.readouterr().err
    assert len(model.predict(table.slice(0, 0))) == 0
    assert "called" not in capfd.readouterr().err


def test_other_code_is_not_taken_for_it(table: pa.Table, tmp_path: Path) -> None:
    file = trained(table, tmp_path)
    (tmp_path / "own" / "more.py").write_text("x = 1\n")
    with pytest.raises(SecureFlowError) as caught:
        Predictor.load(file, bundle=tmp_path / "own")
    assert caught.value.code == "digest_mismatch"
    assert "secureflow bundle pull" in caught.value.hint
    (tmp_path / "own" / "more.py").unlink()
    (tmp_path / "packed").write_bytes(
        pack(Bundle({"model.py": (tmp_path / "own/model.py").read_bytes()}))
    )
    with pytest.raises(SecureFlowError, match="is a file"):
        Predictor.load(file, bundle=tmp_path / "packed")
    with pytest.raises(SecureFlowError) as caught:
        Predictor.load(file).predict(table)
    assert caught.value.code == "needs_bundle"
    assert "--bundle FOLDER" in caught.value.hint


def test_bytecode_beside_the_code_is_not_run(table: pa.Table, tmp_path: Path) -> None:
    """It is no part of a bundle: the digest says nothing of it."""
    file = trained(table, tmp_path)
    own, other = tmp_path / "own" / "model.py", tmp_path / "other.py"
    other.write_text(own.read_text().replace("self.scale * (", "0 * ("))
    py_compile.compile(
        str(other), cache_from_source(own), str(own),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip
    assert (own.parent / "__pycache__").is_dir()
    hooks = list(sys.path_hooks)
    found = Predictor.load(file, bundle=own.parent).predict(table)
    assert sys.path_hooks == hooks
    assert len(np.unique(found)) > 1


def test_an_entry_point_outside_of_the_bundle_is_not_called(
    table: pa.Table, tmp_path: Path
) -> None:
    """A card that names the right code, but `subprocess:Popen` as its class."""
    file = ModelFile.from_bytes(trained(table, tmp_path).read_bytes())
    ran = tmp_path / "ran"
    card = json.loads(json.dumps(file.card))
    card["model"]["bundle"]["entry"] = "subprocess:Popen"
    card["model"]["settings"] = {sys.executable: 0, "-c": 0, f"open({str(ran)!r}, 'w')": 0}
    model = Predictor.load(tmp_path / "model.safetensors", card, tmp_path / "own")
    with pytest.raises(SecureFlowError, match="subprocess is not in the bundle") as caught:
        model.predict(table)
    assert caught.value.code == "bundle_unusable"
    assert chinese(caught.value.message) is not None


@pytest.mark.parametrize(
    ("ends", "code", "words"),
    [
        ("raise ValueError('here')", "bundle_failed", "here (model.py, line"),
        ("return z[:, None]", "bundle_failed", "has the shape [120, 1], not [120]"),
        ("return [0.5]", "bundle_failed", "list, not an array"),
        ("return z * np.nan", "bundle_output_refused", "not finite"),
        ("return z + 7", "bundle_output_refused", "more than 1"),
    ],
)
def test_what_an_owner_would_refuse_is_shown_here(
    ends: str, code: str, words: str, table: pa.Table, tmp_path: Path
) -> None:
    model = Predictor.load(trained(table, tmp_path, ends=ends), bundle=tmp_path / "own")
    with pytest.raises(SecureFlowError) as caught:
        model.predict(table)
    assert (caught.value.code, words in caught.value.message) == (code, True), caught.value
    assert chinese(caught.value.message) is not None


def test_a_class_without_predict_and_a_model_without_code(table: pa.Table, tmp_path: Path) -> None:
    job = {
        "features": {
            "label": {"column": "kind", "positive": "b"},
            "numeric": [{"column": "x", "bounds": [-3, 3], "scale": "bounds"}],
        },
        "plan": {"rounds": 1},
    }
    built_in = simulate(job, table, parties=2)
    (tmp_path / "m.safetensors").write_bytes(built_in.file.to_bytes())
    with pytest.raises(SecureFlowError, match="needs no code"):
        Predictor.load(tmp_path / "m.safetensors", bundle=tmp_path)
    file = trained(table, tmp_path, ends="pass\n\n    predict = None")
    with pytest.raises(SecureFlowError, match="no method predict") as caught:
        Predictor.load(file, bundle=tmp_path / "own").predict(table)
    assert caught.value.code == "bundle_unusable"


LACKS = {
    "as it is": ("", True),
    "it has one": (PREDICTS.replace("RETURN", "return z"), False),
    "it gets one later": ("\n\nModel.predict = lambda self, weights, rows: 0\n", False),
    "by its name": ("\n\nsetattr(Model, 'predict', None)\n", False),
    "it cannot be parsed": ("\n  def (:\n", False),
}


@pytest.mark.parametrize("name", LACKS)
def test_a_class_that_lacks_a_method_is_seen_without_running_it(name: str) -> None:
    more, lacking = LACKS[name]
    bundle = Bundle({"model.py": (BEGINS + more).encode()})
    assert lacks(bundle, "model:Model", "predict") is lacking
    assert not lacks(bundle, "model:Other", "predict")
    assert not lacks(bundle, "other:Model", "predict")
    derived = Bundle({"model.py": (BEGINS.replace("Model:", "Model(Base):") + more).encode()})
    assert not lacks(derived, "model:Model", "predict")


ASKED: list[dict[str, Any]] = [
    {"kind": "evaluation", "models": ["mdl_1"]},
    {"kind": "prediction", "model": "mdl_1"},
]


@pytest.fixture
def centre() -> Iterator[tuple[Client, dict[str, Any]]]:
    """A client, and what its centre knows: the code of its only model, and what was asked."""
    known: dict[str, Any] = {"code": Bundle({"model.py": BEGINS.encode()}), "asked": []}

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.partition("/api/v1")[2] or request.url.path
        known["asked"].append(f"{request.method} {path}")
        code = known["code"]
        if path.endswith("/card"):
            ref = {"digest": "ab" * 32 if code is None else code.digest, "entry": "model:Model"}
            return httpx.Response(200, json={"family": "bundle", "model": {"bundle": ref}})
        if path.endswith("/content"):
            found = {"code": "not_found", "title": "not there", "detail": "gone"}
            return httpx.Response(404, json=found) if code is None else httpx.Response(
                200, content=pack(code)
            )  # fmt: skip
        if "/models/" in path:
            family = known.get("family", "bundle")
            model = {"id": "mdl_1", "project": "p", "job": "job_1", "name": "own", "version": 2,
                     "digest": "ef" * 32, "artifact": "ef" * 32, "family": family,
                     "metrics": {}, "created": 1}  # fmt: skip
            return httpx.Response(200, json=model)
        known["body"] = json.loads(request.content)
        return httpx.Response(403, json={"code": "forbidden", "title": "no", "detail": "no"})

    with Client("https://test", "sft_x", transport=httpx.MockTransport(answer)) as client:
        yield client, known


@pytest.mark.parametrize("body", ASKED)
def test_a_job_whose_code_cannot_predict_is_not_submitted(
    body: dict[str, Any], centre: tuple[Client, dict[str, Any]]
) -> None:
    client, known = centre
    with pytest.raises(SecureFlowError, match="own@2 has no method predict") as caught:
        client.jobs.submit(body)
    assert caught.value.code == "bundle_unusable"
    assert "Add predict(self, weights, rows)" in caught.value.hint
    assert "body" not in known


def test_what_cannot_be_known_here_is_left_to_the_centre(
    centre: tuple[Client, dict[str, Any]],
) -> None:
    client, known = centre
    whole = Bundle({"model.py": (BEGINS + PREDICTS.replace("RETURN", "return z")).encode()})
    for change in ({"code": whole}, {"code": None}, {"family": "mlp"}):
        known.update({"family": "bundle", **change})
        with pytest.raises(SecureFlowError) as caught:
            client.jobs.submit(ASKED[0])
        assert caught.value.code == "forbidden"
        assert known.pop("body") == ASKED[0]
    known["asked"].clear()
    with pytest.raises(SecureFlowError):
        client.jobs.submit({"kind": "training", "model": {"family": "bundle"}})
    assert len(known["asked"]) == 1
