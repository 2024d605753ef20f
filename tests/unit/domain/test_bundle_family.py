"""The family `bundle`: what its spec holds, and what contradicts itself in it."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.specs.base import RosterEntry, dump, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.training.models import update_layout
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

ROSTER = tuple(
    RosterEntry(name, SigningKey.from_seed(bytes([at]) * 32).public, f"dst_{at}2345678")
    for at, name in enumerate(("bank-a", "bank-b", "bank-c"))
)
WEIGHTS = [{"name": "w", "shape": [2, 3]}, {"name": "n", "shape": [], "dtype": "int64"}]


def asked(model: dict[str, Any] | None = None, **parts: Any) -> TrainingSpec:
    bundle = {"digest": "ab" * 32, "entry": "model:Model", "environment": "cd" * 32}
    whole: dict[str, Any] = {
        "project": "prj_000000000000", "name": "n", "purpose": "p", "submitter": "ana",
        "roster": [dump(one) for one in ROSTER],
        "features": {"label": {"column": "y", "positive": "1"},
                     "numeric": [{"column": "x", "bounds": [0, 1], "scale": "bounds"}]},
        "model": {"family": "bundle", "bundle": bundle, "weights": WEIGHTS,
                  "sums": ["rows", "loss"], "settings": {"rate": 0.5, "sizes": [1, 2]},
                  **(model or {})},
        "initial": {"model": "ef" * 32, "layout": LAYOUT},
        **parts,
    }  # fmt: skip
    return parse(TrainingSpec, {name: one for name, one in whole.items() if one is not None})


LAYOUT = "00" * 32


@pytest.fixture(autouse=True)
def _layout(monkeypatch: pytest.MonkeyPatch) -> None:
    from secureflow.domain.specs.tensors import layout_digest

    monkeypatch.setitem(globals(), "LAYOUT", layout_digest(asked().tensors))


def refusal(spec: TrainingSpec) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as told:
        check(spec)
    assert told.value.code == "contradictory_spec"
    return told.value


def test_it_is_known_by_its_tensors_alone() -> None:
    spec = asked()
    check(spec)
    assert [one.name for one in spec.tensors] == ["n", "w"]
    assert spec.parameters == 7
    assert update_layout(spec).sums == 3
    assert spec.bundle is not None
    assert spec.facts()["bundle_digest"] == "ab" * 32
    again = parse(TrainingSpec, dump(spec))
    assert again == spec
    assert spec_digest(again) == spec_digest(spec)


@pytest.mark.parametrize(
    ("model", "parts", "field"),
    [
        ({"weights": [WEIGHTS[0], WEIGHTS[0]]}, {}, "model.weights"),
        ({"weights": [{"name": "w", "shape": [2], "dtype": "bfloat16"}]}, {}, "model.weights"),
        ({"sums": ["loss"]}, {}, "model.sums"),
        ({"sums": ["rows", "rows"]}, {}, "model.sums"),
        ({}, {"initial": None}, "initial"),
        ({"sums": ["rows"]}, {"plan": {"early_stop": {}}}, "plan.early_stop"),
        ({"sums": ["rows"]}, {"plan": {"keep": "best"}}, "plan.keep"),
        ({}, {"features": None}, "features"),
        ({"sums": ["rows", "epsilon"]}, {}, "model.sums"),
        ({"sums": ["rows", "round"]}, {}, "model.sums"),
    ],
)
def test_contradictions_are_named(model: Any, parts: Any, field: str) -> None:
    assert refusal(asked(model, **parts)).details["field"] == field


def test_only_privacy_that_the_agent_enforces_is_credited() -> None:
    private = {"delta": 1e-5, "noise_multiplier": 1.0, "clipping_norm": 1.0, "noise": "enclave"}
    record = {**private, "unit": "record", "rows": 1000, "sampling": 0.1}
    party = {**private, "unit": "party", "mechanism": "central",
             "party_unit_acknowledged": True}  # fmt: skip
    told = refusal(asked(privacy=record, plan={"validation": 0})).details
    assert told["field"] == "privacy.unit"
    measured = {**party, "metrics_noise": 1.0}
    assert (
        refusal(asked(privacy=measured, plan={"validation": 0}))
        .details["field"]
        .startswith("privacy")
    )
    slow = refusal(asked(privacy=party, plan={"validation": 0}, limits={"patience_seconds": 30}))
    assert slow.details["field"] == "model.seconds"
    assert "600 seconds" in slow.message
    check(asked(privacy=party, plan={"validation": 0}, limits={"patience_seconds": 610}))
    check(asked({"seconds": 50}, privacy=party, plan={"validation": 0}))


@pytest.mark.parametrize(
    "settings",
    [{"a": {"nested": 1}}, {"a": None}, {"a": "x" * 1001}, {"a": "two\nlines"}, {"": 1},
     {str(one): 1 for one in range(101)}],
)  # fmt: skip
def test_settings_are_plain_and_bounded(settings: Any) -> None:
    with pytest.raises(SecureFlowError) as told:
        asked({"settings": settings})
    assert told.value.code == "invalid_spec"
