"""Models on the command line: predictions of every target, and uploads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from safetensors.numpy import save
from unit.engines.training.beside_world import spec as beside_spec
from unit.engines.training.family_world import private, spec

from secureflow.cli.kinds import TrainingText
from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.sdk.prediction import Predictor

ROWS = [{"x0": 0.5, "x1": -0.5, "word": "l"}, {"x0": -1.0, "x1": 1.0, "word": "r"}]
CSV = "x0,x1,word\n0.5,-0.5,l\n-1.0,1.0,r\n"


@pytest.mark.parametrize("target", ["classes", "number", "binary"])
def test_rows_of_a_file_are_predicted(cli: Any, tmp_path: Path, target: str) -> None:
    job = spec("mlp", target)
    state = initial_parameters(job)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    model, rows = tmp_path / "m.safetensors", tmp_path / "rows.csv"
    model.write_bytes(ModelFile(card, state).to_bytes())
    rows.write_text(CSV)
    code, out, err = cli("model", "predict", str(model), str(rows), "-o", "json")
    assert (code, err) == (0, "")
    answers, loaded = json.loads(out), Predictor.load(model)
    assert [one["row"] for one in answers] == [1, 2]
    told = [one["predicted"] for one in answers]
    if target == "binary":
        assert told == [bool(one) for one in loaded.predict(ROWS)]
        assert "P(y=yes)" in answers[0]
    elif target == "classes":
        assert told == list(loaded.predict(ROWS))
        chances = [answers[0][f"P(kind={one})"] for one in ("a", "b", "c")]
        assert chances == pytest.approx(loaded.predict_proba(ROWS)[0], abs=1e-5)
    else:
        assert told == pytest.approx(loaded.predict(ROWS), rel=1e-5)


def numbers_model(tmp_path: Path) -> str:
    job = spec("mlp", "number")
    state = initial_parameters(job)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    (tmp_path / "m.safetensors").write_bytes(ModelFile(card, state).to_bytes())
    return str(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "rows.csv", "rows"])
def test_rows_may_be_parquet_whatever_the_file_is_called(
    cli: Any, tmp_path: Path, name: str
) -> None:
    model, other = numbers_model(tmp_path), [{"a": {"b": 1}}, {"a": {"b": 2}}]
    rows = [row | more for row, more in zip(ROWS, other, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    code, out, err = cli("model", "predict", model, str(tmp_path / name), "-o", "json")
    assert (code, err) == (0, "")
    told = [one["predicted"] for one in json.loads(out)]
    assert told == pytest.approx(Predictor.load(model).predict(ROWS), rel=1e-5)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.parquet", b"x0,x1,word\n"), ("rows", b"PAR1"), ("rows.csv", b"x0,x1\n1\r2,3\n")],
)
def test_rows_that_cannot_be_read_are_refused(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, content: bytes, language: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    (tmp_path / name).write_bytes(content)
    code, _, err = cli("model", "predict", numbers_model(tmp_path), str(tmp_path / name))
    assert code == 2
    assert "invalid_file" in err
    assert ("无法作为" if language == "zh" else "cannot be read as") in err


def test_what_holds_no_tensors_is_said_to_hold_none(cli: Any, centre: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,income\n30,1\n")
    code, _, err = cli("model", "upload", path, "--project", "prj_1")
    assert code == 2
    assert "no safetensors file" in err
    assert not [key for key, _, _ in centre.asked if key.startswith("POST ")]


def test_an_upload_tells_what_to_write_into_the_job(cli: Any, centre: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(bytes(save({"coef": np.ones(3, np.float32)})))
    digest = blake3(np.ones(3, "<f4").tobytes()).hexdigest()
    layout = layout_digest([TensorSpec("coef", (3,))])
    query = f"project=prj_1&digest={digest}&layout={layout}"
    kept = {
        "id": "upl_1", "project": "prj_1", "digest": digest, "layout": layout, "size": 12,
        "organisation": "bank-a", "uploader": "ana", "created": 5, "expires": 9,
    }  # fmt: skip
    centre.answers[f"POST /models/uploads?{query}"] = (201, kept)
    code, out, err = cli("model", "upload", str(path), "--project", "prj_1")
    assert (code, err) == (0, "")
    assert f"initial: {{model: {digest}, layout: " in out
    assert "coef" in out
    code, out, _ = cli("model", "upload", str(path), "--project", "prj_1", "-o", "json")
    assert json.loads(out)["initial"]["model"] == digest
    centre.answers["GET /models/uploads"] = (200, {"items": [kept], "next": ""})
    code, out, _ = cli("weights", "list", "-o", "json")
    assert [one["id"] for one in json.loads(out)] == ["upl_1"]
    centre.answers["DELETE /models/uploads/upl_1"] = (204, b"")
    assert cli("weights", "remove", "upl_1")[0] != 0  # nobody to ask
    assert cli("weights", "remove", "upl_1", "--yes") == (0, "", "upl_1 is removed.\n")
    centre.answers[f"DELETE /bundles/{digest}?project=prj_1"] = (204, b"")
    assert cli("bundle", "remove", digest, "--project", "prj_1")[0] != 0
    ended = cli("bundle", "remove", digest, "--project", "prj_1", "--yes")
    assert ended == (0, "", f"{digest} is removed.\n")


def test_an_owner_reads_the_family_in_the_chosen_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    told = TrainingText().task(spec("linear", "number"))
    assert told.startswith("线性回归训练，")
    assert "; " not in told


def test_an_owner_reads_what_is_learnt_and_from_where_it_starts() -> None:
    text = TrainingText()
    assert text.task(spec("linear", "number")).endswith("the number price")
    assert text.task(spec("softmax", "classes")).endswith("which of 3 classes kind is")
    job = spec("mlp", "binary")
    start = {"model": "ab" * 32, "layout": layout_digest(job.tensors)}
    told = text.task(spec("mlp", "binary", initial=start, **private("local")))
    assert told == f"training of mlp, 3 rounds; starts from uploaded weights {'ab' * 32}"
    other = {"job": "job_0123456789", "round": 7, "model": "cd" * 32}
    told = text.task(spec("mlp", "binary", resume=other, **private("local")))
    assert told.endswith(
        f"from the model {'cd' * 32}, which the centre says round 7 of job_0123456789 released"
    )


def test_an_owner_reads_which_images_and_texts_a_model_sees() -> None:
    told = TrainingText().task(beside_spec("images", {"family": "torch_cnn", "channels": [4]}))
    assert told.endswith("which of 3 classes kind is; sees images of scan")
    told = TrainingText().task(beside_spec("texts", {"family": "softmax"}))
    assert told.endswith("; sees texts of note")
