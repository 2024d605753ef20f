from __future__ import annotations

import builtins
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from secureflow.domain.specs.base import RosterEntry, spec_digest
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingSpec,
)
from secureflow.engines.training.export import (
    ModelFile,
    feature_names,
    model_card,
    model_digest,
    parse_safetensors,
    to_sklearn,
)
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError

FEATURES = FeatureSpec(
    Label("income", "high"),
    (NumericFeature("age", (0.0, 100.0)), NumericFeature("pay", (0.0, 10.0), "bounds")),
    (CategoricalFeature("work", ("a", "b"), missing="indicator"),),
)
SPEC = TrainingSpec(
    project="prj_0000000000",
    name="income",
    purpose="credit",
    submitter="ada",
    roster=tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
    features=FEATURES,
)
PARAMETERS = np.array([0.5, -1.0, 0.25, 2.0, -0.125, 0.75], np.float32)
MOMENTS = [100.0, -20.0, 10.0, 90.0]
CARD = model_card(SPEC, PARAMETERS, moments=MOMENTS, metrics={"auc": 0.9}, created=1)


def safetensors(
    header: Any, data: bytes = PARAMETERS.tobytes(), length: int | None = None
) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(**changes: Any) -> dict[str, Any]:
    return {"parameters": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24], **changes}}


def refused(data: bytes, card: dict[str, Any] | None = None) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        ModelFile.from_bytes(data, card)
    return caught.value


def test_a_file_round_trips_and_others_can_read_it() -> None:
    data = ModelFile(CARD, PARAMETERS).to_bytes()
    again = ModelFile.from_bytes(data)
    assert again.card == CARD
    assert again.parameters.tobytes() == PARAMETERS.tobytes()
    assert np.array_equal(load(data)["parameters"], PARAMETERS)
    assert again.to_bytes() == data
    assert CARD["spec_digest"] == spec_digest(SPEC)
    assert CARD["digest"] == model_digest(PARAMETERS)
    assert CARD["contributors"] == ["bank-a", "bank-b", "bank-c"]
    # mean = 50 - 50·20/90; the second feature is scaled by its declared bounds
    assert again.moments.mean == pytest.approx((38.888888, 5.0))
    assert again.moments.std[1] == 5.0


def test_the_card_may_stand_beside_the_file() -> None:
    bare = safetensors(tensor())
    assert ModelFile.from_bytes(bare, CARD).features == FEATURES
    assert refused(bare).code == "invalid_model"


def test_parameters_of_another_model_are_refused() -> None:
    other = PARAMETERS.copy()
    other[0] = 0.5000001
    error = refused(safetensors(tensor(), other.tobytes()), CARD)
    assert error.code == "model_digest_mismatch"
    assert error.details["expected"] == CARD["digest"]


def test_a_card_of_half_a_character_is_refused() -> None:
    half = safetensors({**tensor(), "__metadata__": {"card": "\ud800"}})
    assert refused(half).code == "invalid_model"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\x00" * 8,
        safetensors(tensor(), length=1 << 63),
        safetensors(tensor(), length=9 << 20),
        safetensors(tensor(), length=10),
        safetensors(b"[]"),
        safetensors(b"{"),
        safetensors(b'{"parameters": {}, "parameters": {}}'),
        safetensors({}),
        safetensors({**tensor(), "extra": tensor()["parameters"]}),
        safetensors({"weights": tensor()["parameters"]}),
        safetensors({**tensor(), "__metadata__": {"card": 1}}),
        safetensors({**tensor(), "__metadata__": []}),
        safetensors(tensor(dtype="F64")),
        safetensors(tensor(shape=[6.0])),
        safetensors(tensor(shape=[2, 3])),
        safetensors(tensor(shape=[True]), b"\x00" * 4),
        safetensors(tensor(shape=[0], data_offsets=[0, 0]), b""),
        safetensors(tensor(shape=[-6])),
        safetensors(tensor(shape=[1 << 40], data_offsets=[0, 1 << 42])),
        safetensors(tensor(data_offsets=[0, 20])),
        safetensors(tensor(data_offsets=[4, 28])),
        safetensors(tensor(data_offsets=[False, 24])),
        safetensors(tensor(), PARAMETERS.tobytes()[:-1]),
        safetensors(tensor(), PARAMETERS.tobytes() + b"\x00"),
        safetensors(tensor(), np.array([0, 0, 0, 0, 0, np.nan], "<f4").tobytes()),
        safetensors(tensor(), np.array([0, 0, 0, 0, 0, -np.inf], "<f4").tobytes()),
    ],
)
def test_foreign_bytes_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse_safetensors(data)
    assert caught.value.code == "invalid_model"


@pytest.mark.parametrize(
    "change",
    [
        {"features": None},
        {"features": {"label": {"column": "y", "positive": "1"}}},
        {"moments": None},
        {"moments": [1, 2]},
        {"moments": [100.0, "x", 1.0, 90.0]},
        {"moments": [100.0, 10**400, 1.0, 90.0]},
        {"moments": [100.0, True, 1.0, 90.0]},
        {"features": {**CARD["features"], "numeric": [
            {"column": "age", "bounds": [5, 5]}, CARD["features"]["numeric"][1]]}},
    ],
)  # fmt: skip
def test_a_card_that_does_not_belong_to_its_parameters_is_refused(change: dict[str, Any]) -> None:
    assert refused(safetensors(tensor()), {**CARD, **change}).code in {
        "invalid_model",
        "invalid_moments",
    }


VALID = ModelFile(CARD, PARAMETERS).to_bytes()


def damage(data: bytes) -> st.SearchStrategy[bytes]:
    """Bytes near a valid file: cut, overwritten, grown, or a lying length."""
    at = st.integers(0, len(data) - 1)
    cut = at.map(lambda i: data[:i])
    patched = st.builds(lambda i, b: data[:i] + b + data[i + len(b) :], at, st.binary(max_size=9))
    grown = st.builds(lambda i, b: data[:i] + b + data[i:], at, st.binary(max_size=9))
    lying = st.integers(0, 2**64 - 1).map(lambda n: n.to_bytes(8, "little") + data[8:])
    return st.one_of(st.binary(max_size=64), cut, patched, grown, lying)


def survives(data: bytes) -> None:
    try:
        model = ModelFile.from_bytes(data)
    except SecureFlowError:
        return
    # What is accepted is the very model that the card names, or one with its own honest card.
    assert model_digest(model.parameters) == model.card["digest"]
    assert np.isfinite(model.parameters).all()


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(damage(VALID))
def test_any_bytes_end_in_the_model_or_a_typed_error(data: bytes) -> None:
    survives(data)


@pytest.mark.soak
@pytest.mark.timeout(0)
@settings(max_examples=1_000_000, deadline=None)
@given(damage(VALID))
def test_any_bytes_end_in_the_model_or_a_typed_error_long(data: bytes) -> None:
    survives(data)


def test_scikit_learn_gets_the_same_model() -> None:
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    estimator = to_sklearn(CARD, PARAMETERS)
    X = np.random.default_rng(2).normal(size=(50, 5)).astype(np.float32)
    expected = 1 / (1 + np.exp(-(X @ PARAMETERS[:-1] + PARAMETERS[-1]).astype(float)))
    assert np.allclose(estimator.predict_proba(X)[:, 1], expected, atol=1e-6)
    assert estimator.feature_names == feature_names(FEATURES)
    assert feature_names(FEATURES) == ["age", "pay", "work=a", "work=b", "work="]
    rehearsal = {**CARD, "family": "rehearsal"}
    with pytest.raises(SecureFlowError, match="is not of scikit-learn"):
        to_sklearn(rehearsal, PARAMETERS)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(SecureFlowError) as caught:
        to_sklearn(CARD, PARAMETERS)
    assert caught.value.code == "missing_extra"
    assert "[sklearn]" in caught.value.hint


def test_a_card_is_canonical_json_without_data() -> None:
    assert json.loads(canonical_bytes(CARD)) == CARD
    no_moments = dataclasses.replace(SPEC, features=dataclasses.replace(FEATURES, numeric=()))
    assert (
        model_card(no_moments, PARAMETERS, moments=None, metrics={}, created=1)["moments"] is None
    )
