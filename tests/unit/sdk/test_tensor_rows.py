"""Predicting on images, arrays and texts, in every form in which people have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from unit.engines.training.beside_world import SIDE, spec, table

from secureflow.engines.training.export import ModelFile, model_card
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor

ROWS = table(12)


def model(seen: str) -> Predictor:
    job = spec(seen, {"family": "softmax"})
    parameters = np.random.default_rng(1).normal(0, 1, job.parameters).astype(np.float32)
    card = model_card(job, parameters, moments=None, metrics={}, created=0)
    return Predictor(ModelFile(card, parameters))


def forms(name: str) -> list[Any]:
    cells = ROWS[name]
    rows = list(cells)
    found = [
        {name: cells},
        {name: rows},
        pd.DataFrame({name: rows, "other": 1}),
        [{name: one} for one in rows],
        pa.table({name: [one if isinstance(one, str) else one.tolist() for one in rows]}),
        rows,
    ]
    return found if name == "note" else [*found, cells]


@pytest.mark.parametrize(
    ("seen", "name"), [("images", "scan"), ("arrays", "signal"), ("texts", "note")]
)
def test_every_form_of_rows_gives_the_same(seen: str, name: str) -> None:
    loaded = model(seen)
    first, *others = (loaded.outputs(one) for one in forms(name))
    assert first.shape == (12, 3)
    assert len(np.unique(first[:, 0])) > 3
    for other in others:
        assert (other == first).all()
    assert loaded.inputs({name: ROWS[name]}).shape == (12, loaded.features.width)


def test_grey_images_and_pictures() -> None:
    pictures = pytest.importorskip("PIL.Image")
    loaded, flat = model("images"), ROWS["scan"][..., 0]
    wanted = loaded.outputs(ROWS["scan"])
    assert (loaded.outputs({"scan": list(flat)}) == wanted).all()
    drawn = [pictures.fromarray(one) for one in flat]
    assert (loaded.outputs({"scan": drawn}) == wanted).all()
    assert (loaded.outputs({"scan": ROWS["scan"].astype(float)}) == wanted).all()


@pytest.mark.parametrize(
    "cell",
    [
        None,
        "scan.png",
        np.zeros((SIDE, SIDE + 1, 1), np.uint8),
        np.full((SIDE, SIDE, 1), 256),
        np.full((SIDE, SIDE, 1), 0.5),
        np.full((SIDE, SIDE, 1), np.nan),
    ],
    ids=["none", "name", "shape", "large", "fraction", "nan"],
)
def test_what_is_no_such_image_is_named_by_its_row(cell: Any) -> None:
    rows = [*ROWS["scan"][:2], cell]
    with pytest.raises(SecureFlowError) as caught:
        model("images").predict({"scan": rows})
    assert caught.value.code == "malformed_cell"
    assert caught.value.details == {"row": 3, "column": "scan"}


def test_no_rows_give_no_predictions() -> None:
    assert model("images").predict({"scan": ROWS["scan"][:0]}).shape == (0,)


def test_one_text_is_not_a_list_of_letters() -> None:
    with pytest.raises(SecureFlowError) as caught:
        model("texts").predict("ill")
    assert caught.value.code == "invalid_rows"
