"""PyTorch's families as specs: their tensors and contradictions, without PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.training.beside_world import FEATURES, spec

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import initial_state, row_cells
from secureflow.kit.errors import SecureFlowError

CNN: dict[str, Any] = {"family": "torch_cnn", "channels": [4, 8], "hidden": [16]}


def refused(seen: str, model: dict[str, Any], **more: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        spec(seen, model, **more)
    assert caught.value.code == "contradictory_spec"
    return caught.value.message


def test_a_family_of_pytorch_is_sized_and_started_without_it() -> None:
    def made(seen: str, model: dict[str, Any]) -> TrainingSpec:
        job = spec(seen, model)
        assert len(initial_state(job)) == job.parameters
        return job

    shapes = {one.name: one.shape for one in made("images", CNN).tensors}
    assert shapes["convolutions.1.weight"] == (8, 4, 3, 3)
    assert shapes["norms.0.bias"] == (4,)
    assert shapes["layers.0.weight"] == (16, 8)  # 6 × 6, halved twice
    assert shapes["layers.1.weight"] == (3, 16)
    text = {one.name: one.shape for one in made("texts", {"family": "torch_lstm"}).tensors}
    assert text["embedding.weight"] == (64, 32)
    assert text["lstm.weight_ih_l0"] == (256, 32)
    deep = {one.name for one in made("arrays", {"family": "torch_lstm", "layers": 2}).tensors}
    assert {"lstm.weight_hh_l1", "layers.0.bias"} < deep
    assert made("texts", {"family": "torch_mlp"}).tensors[1].shape == (64, 63)


def test_memory_for_a_row_counts_what_a_network_makes_of_it() -> None:
    assert row_cells(spec("images", CNN)) > 6 * 6 * 4 * 3
    assert row_cells(spec("texts", {"family": "torch_lstm", "hidden": 64})) >= 8 * 8 * 64


@pytest.mark.parametrize(
    ("seen", "model", "says"),
    [
        ("texts", CNN, "images"),
        ("arrays", CNN, "images"),
        ("images", {"family": "torch_lstm"}, "steps"),
        ("images", {**CNN, "groups": 3}, "divide"),
        ("images", {**CNN, "channels": [4, 4, 4]}, "nothing is left"),
        ("images", {**CNN, "optimiser": {"name": "adam", "momentum": 0.5}}, "sgd"),
        ("images", {**CNN, "class_weights": [1.0, 2.0]}, "weights"),
    ],
)
def test_what_a_network_cannot_see_is_refused(seen: str, model: dict[str, Any], says: str) -> None:
    assert says in refused(seen, model)


TABLE = {"numeric": [{"column": "age", "bounds": [0, 100]}],
         "categorical": [{"column": "colour", "categories": ["red", "blue"]}]}  # fmt: skip
LSTM = {"family": "torch_lstm"}


@pytest.mark.parametrize("model", [CNN, LSTM], ids=["cnn", "lstm"])
@pytest.mark.parametrize("more", ["numeric", "categorical", "images", "texts", "arrays", "same"])
def test_a_network_that_sees_one_column_is_refused_more(
    monkeypatch: pytest.MonkeyPatch, model: dict[str, Any], more: str
) -> None:
    """By name at submission, whatever stands beside it: none of them is left out in silence."""
    own = "images" if model is CNN else "texts"
    kind, (first,) = next(iter(FEATURES[own].items()))
    second = {**first, "column": "another"}
    beside = {kind: [first, second]} if more in {"same", own} else FEATURES.get(more)
    beside = beside or {more: TABLE[more]}
    monkeypatch.setitem(FEATURES, "both", {**FEATURES[own], **beside})
    assert "exactly one column" in refused("both", model)
    spec("both", {"family": "torch_mlp"})
