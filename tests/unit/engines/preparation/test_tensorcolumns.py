"""Images, arrays and texts as model inputs, made for jobs with and without noise alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.inputs import (
    MAX_INPUTS,
    ArrayFeature,
    ImageFeature,
    TextFeature,
    input_problem,
)
from secureflow.domain.specs.training import FeatureSpec, Label
from secureflow.engines.preparation import (
    declared_moments,
    encode_rows,
    feature_matrix,
    places,
    prepared_rows,
    tensor_columns,
)
from secureflow.engines.preparation.encoded import BLOCK_CELLS
from secureflow.kit.errors import SecureFlowError

LABEL = Label("y", "yes")
SCAN = ImageFeature("scan", (2, 2, 3))
SIGNAL = ArrayFeature("signal", (2, 3), (-5.0, 5.0))
NOTE = TextFeature("note", length=4, tokens="words", vocabulary=11)


def texts(*cells: Any) -> np.ndarray:
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


def rows(count: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "age": rng.uniform(0, 100, count),
        "scan": rng.integers(0, 256, (count, 2, 2, 3), np.uint8),
        "signal": rng.normal(0, 4, (count, 2, 3)).astype(np.float32),
        "note": texts(*[f"a b word{at}" for at in range(count)]),
        "y": texts(*["yes", "no"] * count)[:count],
    }


def features(**changes: Any) -> FeatureSpec:
    numeric = [{"column": "age", "bounds": [0, 100], "scale": "bounds"}]
    asked = {"label": dump(LABEL), "numeric": numeric, "images": [dump(SCAN)],
             "arrays": [dump(SIGNAL)], "texts": [dump(NOTE)]}  # fmt: skip
    return parse(FeatureSpec, asked | changes)


def test_features_of_a_table_alone_have_the_json_that_they_had() -> None:
    assert set(dump(features(images=None, arrays=None, texts=None))) == {
        "label",
        "numeric",
        "categorical",
    }


def test_what_an_element_becomes() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    plain = FeatureSpec(LABEL, images=(SCAN,))
    found = feature_matrix(plain, declared_moments(plain), {"scan": image})
    assert found.dtype == np.float32
    assert np.allclose(found, image.reshape(1, -1) / 255)
    scaled = ImageFeature("scan", (2, 2, 3), mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 2.0))
    (column,) = tensor_columns(FeatureSpec(LABEL, images=(scaled,)), {"scan": image})
    wanted = (image / 255 - [0.5, 0.25, 0.0]) / [0.5, 0.5, 2.0]
    assert np.allclose(column.inputs(np.arange(1)), wanted.reshape(1, -1), atol=1e-6)
    array = np.array([[[-9.0, 0.0, 5.0], [np.nan, np.inf, -np.inf]]], np.float32)
    (column,) = tensor_columns(FeatureSpec(LABEL, arrays=(SIGNAL,)), {"signal": array})
    assert column.inputs(np.arange(1)).tolist() == [[-1.0, 0.0, 1.0, 0.0, 1.0, -1.0]]


def test_the_tokens_of_texts() -> None:
    byte = TextFeature("note", length=4)
    cells = texts("abcdef", "é", "", None, 7)
    (column,) = tensor_columns(FeatureSpec(LABEL, texts=(byte,)), {"note": cells}, numbers=True)
    assert column.inputs(np.arange(5)).tolist() == [
        [98.0, 99.0, 100.0, 101.0], [196.0, 170.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4, [0.0] * 4,
    ]  # fmt: skip
    words = TextFeature("note", length=6, tokens="words", vocabulary=1000)
    cells = texts("Good, good  GOOD dog!", "我病了 ok")
    spec = FeatureSpec(LABEL, texts=(words,))
    (column,) = tensor_columns(spec, {"note": cells}, numbers=True)
    first, second = column.inputs(np.arange(2)).astype(int)
    assert len(set(first[:3])) == 1
    assert first[3] not in {0, first[0]}
    assert (first > 0).sum() == 4
    assert (second > 0).sum() == 4  # three characters, and a word
    (column,) = tensor_columns(spec, {"note": cells})
    counts = column.inputs(np.arange(2))
    assert counts.shape == (2, 999)
    assert counts[0, first[0] - 1] == 3.0
    assert counts.sum(axis=1).tolist() == [4.0, 4.0]


@pytest.mark.parametrize("numbers", [False, True])
def test_private_rows_are_prepared_as_all_others(numbers: bool) -> None:
    asked, table = features(), rows(7)
    moments = declared_moments(asked)
    private, labels = encode_rows(asked, moments, table, numbers=numbers)
    public = prepared_rows(asked, moments, table, numbers=numbers)
    every = np.arange(7)
    assert private[every].tobytes() == public[every].tobytes()
    assert labels.tolist() == [1, 0, 1, 0, 1, 0, 1]
    if not numbers:
        assert public[every].tobytes() == feature_matrix(asked, moments, table).tobytes()
        assert public.width == asked.width
    chosen = np.array([5, 1])
    assert (private.only(chosen)[np.arange(2)] == public[chosen]).all()
    where = places(asked, numbers=numbers)
    assert {name: one.shape for name, one in where.items()} == {
        "scan": (2, 2, 3), "signal": (2, 3), "note": (4,) if numbers else (10,),
    }  # fmt: skip
    scan = public[every][:, where["scan"].start : where["signal"].start]
    assert np.allclose(scan.reshape(7, 2, 2, 3), table["scan"] / 255)


@given(cell=st.text() | st.none(), tokens=st.sampled_from(["bytes", "words"]))
@settings(max_examples=60, deadline=None)
def test_no_text_fails(cell: str | None, tokens: Any) -> None:
    vocabulary = 257 if tokens == "bytes" else 5
    one = TextFeature("note", 8, tokens, vocabulary)
    for numbers in (False, True):
        spec = FeatureSpec(LABEL, texts=(one,))
        (column,) = tensor_columns(spec, {"note": texts(cell)}, numbers=numbers)
        found = column.inputs(np.arange(1))
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert found.max() < (vocabulary if numbers else 9)


def test_a_surrogate_does_not_fail() -> None:
    test_no_text_fails.hypothesis.inner_test("\ud800 \udfff", "words")  # type: ignore[attr-defined]


def test_another_shape_is_refused_whatever_the_rows_hold() -> None:
    asked, table = features(), rows()
    table["scan"] = table["scan"][:, :1]
    for make in (prepared_rows, encode_rows):
        with pytest.raises(SecureFlowError) as caught:
            make(asked, declared_moments(asked), table)
        assert caught.value.code == "shape_mismatch"
        assert "[1, 2, 3]" in caught.value.message
        assert "[2, 2, 3]" in caught.value.message


def test_wide_rows_are_made_a_few_at_a_time() -> None:
    """The memory for inputs does not grow with the rows, whatever shape a job names."""
    wide = ImageFeature("scan", (64, 64, 3))
    made = prepared_rows(FeatureSpec(LABEL, images=(wide,)), declared_moments(features()),
                         {"scan": np.zeros((1000, 64, 64, 3), np.uint8)})  # fmt: skip
    blocks = list(made.blocks())
    assert len(blocks) > 2
    assert max(len(one) for one in blocks) * made.width <= BLOCK_CELLS
    assert sum(len(one) for one in blocks) == 1000


@pytest.mark.parametrize(
    ("one", "field"),
    [
        (ImageFeature("c", (4, 4)), "shape"),
        (ImageFeature("c", (4, 4, 2)), "shape"),
        (ImageFeature("c", (4, 4, 3), mean=(0.0,) * 3), "mean"),
        (ImageFeature("c", (4, 4, 3), mean=(0.0,) * 3, std=(1.0,)), "mean"),
        (ArrayFeature("c", (4,), (1.0, 1.0)), "bounds"),
        (TextFeature("c", vocabulary=300), "vocabulary"),
        (ArrayFeature("c", (1 << 13, 1 << 12), (0.0, 1.0)), ""),
    ],
)
def test_contradictions_are_named(one: Any, field: str) -> None:
    found = input_problem((one,))
    assert found is not None
    assert found[0] == f"features.c.{field}".rstrip(".")
    assert ImageFeature("c", (4096, 4096, 1)).width == MAX_INPUTS
    assert input_problem((SCAN, SIGNAL, NOTE)) is None
