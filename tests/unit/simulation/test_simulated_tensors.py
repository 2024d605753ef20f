"""Simulated jobs on folders of images and arrays, Parquet with bytes, and texts."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unit.engines.training.beside_world import FEATURES, LABELS, SIDE, table

from secureflow import simulate
from secureflow.kit.errors import SecureFlowError

pictures = pytest.importorskip("PIL.Image")
ROWS = table(180)
EXAMPLES = Path(__file__).parents[3] / "examples"
PLAN = {"rounds": 5, "batch_size": 16, "learning_rate": 0.3, "validation": 0.2}


def job(seen: str, **more: Any) -> dict[str, Any]:
    features = {"label": LABELS["classes"], **FEATURES[seen]}
    return {"features": features, "plan": PLAN, "model": {"family": "softmax"}, **more}


def drawn(folder: Path) -> list[str]:
    """Write the images by class; return their names."""
    names = []
    for at, (kind, scan) in enumerate(zip(ROWS["kind"], ROWS["scan"], strict=True)):
        path = folder / kind / f"{at:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures.fromarray(scan[..., 0]).save(path)
        names.append(f"{kind}/{at:04}.png")
    return names


def parquet(folder: Path) -> Path:
    data = [(folder / name).read_bytes() for name in drawn(folder)]
    path = folder / "rows.parquet"
    signal = [one.tolist() for one in ROWS["signal"]]
    arrays = pa.array(signal, pa.list_(pa.list_(pa.float32())))
    columns = {"scan": data, "signal": arrays, "note": list(ROWS["note"])}
    pq.write_table(pa.table({**columns, "kind": list(ROWS["kind"])}), path)
    return path


@pytest.mark.parametrize("seen", ["images", "arrays", "texts"])
def test_a_file_and_arrays_by_column_give_the_same_model(seen: str, tmp_path: Path) -> None:
    from_file = simulate(job(seen), parquet(tmp_path), parties=3)
    columns = {name: ROWS[name] for name in ("scan", "signal", "note", "kind")}
    in_memory = simulate(job(seen), columns, parties=3)
    assert from_file.metrics["accuracy"] > 0.75
    assert from_file.digest == in_memory.digest


SHOWS = """
import numpy as np
class Model:
    def __init__(self, settings, seed): pass
    def initial(self): return {"w": np.zeros(1)}
    def prepare(self, training, validation):
        found = {name: (one.dtype.name, one.shape[1:]) for name, one in training.items()}
        spread = {name: (float(one.min()), float(one.max())) for name, one in training.items()}
        raise ValueError(f"{found} {spread}")
    def train(self, weights, round): return weights
    def evaluate(self, weights): return {"rows": 1}
"""


def test_code_gets_each_column_in_its_shape(tmp_path: Path) -> None:
    (tmp_path / "shows").mkdir()
    (tmp_path / "shows" / "model.py").write_text(SHOWS)
    model = {"family": "bundle", "folder": str(tmp_path / "shows"), "sums": ["rows"]}
    words = {"column": "note", "tokens": "words", "vocabulary": 512, "length": 5}
    seen = {**FEATURES["images"], **FEATURES["arrays"], "texts": [words]}
    features = {"label": LABELS["classes"], **seen}
    columns = {name: ROWS[name] for name in ("scan", "signal", "note", "kind")}
    asked = {"features": features, "plan": PLAN, "model": model}
    with pytest.raises(SecureFlowError) as caught:
        simulate(asked, columns, parties=3)
    shape = ROWS["signal"].shape[1:]
    told = {"scan": ("float32", (SIDE, SIDE, 1)), "signal": ("float32", shape),
            "note": ("int32", (5,)), "labels": ("int64", ())}  # fmt: skip
    assert str(told) in caught.value.message
    found = {"label": LABELS["classes"], "images": [{"column": "labels", "shape": [6, 6, 1]}]}
    with pytest.raises(SecureFlowError) as caught:
        simulate({**asked, "features": found}, {**columns, "labels": ROWS["scan"]}, parties=3)
    assert caught.value.code == "contradictory_spec"


def test_folders_of_images(tmp_path: Path) -> None:
    """A folder for each class; or an index, which can divide the rows too."""
    plain, indexed = tmp_path / "classes", tmp_path / "indexed"
    names = drawn(plain)
    features = {"label": {**LABELS["classes"], "column": "label"},
                "images": [{**FEATURES["images"]["images"][0], "column": "image"}]}  # fmt: skip
    asked = {**job("images"), "features": features}
    assert simulate(asked, plain, parties=3).metrics["accuracy"] > 0.75
    drawn(indexed)
    lines = [f"{name},{kind},ward{at % 2}" for at, (name, kind) in
             enumerate(zip(names, ROWS["kind"], strict=True))]  # fmt: skip
    (indexed / "index.csv").write_text("\n".join(["scan,kind,ward", *lines]) + "\n")
    outcome = simulate(job("images"), indexed, partition="by:ward")
    assert outcome.rows == (90, 90)
    assert outcome.metrics["accuracy"] > 0.75


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    features = {**job("images")["features"], "images": [{"column": "scan", "shape": [9, 6, 1]}]}
    with pytest.raises(SecureFlowError) as caught:
        simulate({**job("images"), "features": features}, parquet(tmp_path), parties=3)
    assert caught.value.code == "schema_mismatch"
    assert "scan" in caught.value.message


@pytest.mark.parametrize(
    "name", [pytest.param("images.py", marks=pytest.mark.full), "ownimages.py"]
)
def test_the_example_of_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn(tmp_path / "scans")
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path / "scans"), str(SIDE)])
    runpy.run_path(str(EXAMPLES / name))
    assert float(capsys.readouterr().out.split()[-1]) > 0.7


def test_the_example_of_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table(1000)
    cells = {name: list(rows[name]) for name in ("note", "y")}
    pq.write_table(pa.table(cells), tmp_path / "notes.parquet")
    words = ["texts.py", str(tmp_path / "notes.parquet"), "note", "y", "yes"]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(EXAMPLES / "texts.py"))
    assert "'accuracy'" in capsys.readouterr().out


def test_examples_are_short() -> None:
    for name in ("images.py", "ownimages.py", "texts.py"):
        assert len((EXAMPLES / name).read_text().splitlines()) <= 24
