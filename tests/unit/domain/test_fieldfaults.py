"""What is wrong with a field of a job file is told whole in Chinese, by its place in the file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from secureflow.domain.fieldfaults import fault
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training_request import TrainingRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese, error_in

ASKED = {"kind": "training", "project": "p", "name": "n", "purpose": "p", "datasets": ["d"]}
CODE = {
    "family": "bundle",
    "bundle": {"digest": "ab" * 32, "entry": "model:Model", "environment": "cd" * 32},
    "weights": [{"name": "w", "shape": [2]}],
}
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")


def code(**parts: Any) -> dict[str, Any]:
    return {"model": {**CODE, **parts}}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("name", {"name": ""}),
    ("name", {"name": "x" * 300}),
    ("name", {"name": "a\nb"}),
    ("name", {"name": 5}),
    ("datasets", {"datasets": "d"}),
    ("plan.rounds", {"plan": {"rounds": 1e9}}),
    ("plan.rounds", {"plan": {"rounds": "ten"}}),
    ("plan.learning_rate", {"plan": {"learning_rate": 0}}),
    ("plan.learning_rate", {"plan": {"learning_rate": "nan"}}),
    ("limits.clip_norm", {"limits": {"clip_norm": 1e9}}),
    ("limits.clip_norm", {"limits": {"clip_norm": 0}}),
    ("quantisation.clip", {"quantisation": {"clip": 1e-9}}),
    ("privacy.delta", {"privacy": {"delta": 0}}),
    ("privacy.unit", {"privacy": {"delta": 1e-5, "unit": "people"}}),
    ("model.hidden", {"model": {"family": "mlp", "hidden": []}}),
    ("model.hidden", {"model": {"family": "mlp", "hidden": [1] * 20}}),
    ("model.sums", code(sums=[f"a{at}" for at in range(70)])),
    ("model.sums.0", code(sums=["A B"])),
    ("model.weights", code(weights=[])),
    ("model.settings", code(settings={f"k{at}": 1 for at in range(200)})),
    ("model.settings.a", code(settings={"a": {"b": 1}})),
    ("model.settings.a", code(settings={"a": "two\nlines"})),
    ("model.settings.a", code(settings={"a": 1e400})),
    ("model.seconds", code(seconds=1.5)),
    ("features.label", {"features": {"label": {"column": "y"}}}),
    ("wire", {"wire": "int8"}),
    ("resume", {"resume": "three"}),
    ("resume.job", {"resume": {"job": "three", "round": 1, "model": "ab" * 32}}),
    ("resume.model", {"resume": {"job": "job_01234567", "round": 1, "model": "three"}}),
    ("features.weight", {"features": {"label": None, "weight": "w"}}),
    ("model.sums", code(sums="loss")),
    ("model.settings", code(settings=[1])),
]  # fmt: skip


@pytest.mark.parametrize(("field", "part"), WRONG)
def test_a_wrong_field_is_told_in_one_language(field: str, part: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse(TrainingRequest, {**ASKED, **part}, "request")
    error = caught.value
    assert error.details["fields"][0]["field"] == field
    assert str(error.message).isascii() or "…" in error.message
    told = error_in(error.as_json(), "zh")
    assert not ENGLISH.search(told["message"].split("：", 2)[2]), told["message"]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"resume": {"job": "job_01234567"}}, "resume.round, resume.model: Field required."),
        ({"resume": "three"}, "resume: it must be an object with named fields."),
        ({"resume": {"job": "three", "round": 1, "model": "ab" * 32}}, "it must be an id, such as"),
        ({"initial": {"model": "three", "layout": "ab" * 32}}, "it must be a digest: 64 of the"),
        ({"model": {"family": "mlp", "hidden": 5}}, "model.hidden: it must be a list."),
    ],
)
def test_it_says_what_is_wanted_in_no_words_of_a_library(part: dict[str, Any], says: str) -> None:
    """And every field that is missing is named at once."""
    with pytest.raises(SecureFlowError) as caught:
        parse(TrainingRequest, {**ASKED, **part}, "request")
    assert says in caught.value.message
    assert "instance" not in caught.value.message
    told = error_in(caught.value.as_json(), "zh")["message"]
    assert "resume.round、resume.model" in told or "," not in told


@pytest.mark.parametrize("kind", ["literal_error", "enum"])
def test_what_may_be_written_is_listed_as_the_language_lists(kind: str) -> None:
    told = fault(
        {"type": kind, "msg": "Input should be 'a', 'b' or 'c'",
         "ctx": {"expected": "'a', 'b' or 'c'"}}
    )  # fmt: skip
    assert told == "Input should be 'a', 'b' or 'c'"
    assert "'a'、'b' 或 'c'" in (chinese(told) or "")


def test_a_label_alone_is_told_what_it_may_say() -> None:
    with pytest.raises(SecureFlowError, match=r"positive: WORD, classes: .*, or the bounds"):
        parse(TrainingRequest, {**ASKED, "features": {"label": {"column": "y"}}}, "request")


def test_another_version_of_the_library_is_told_as_it_speaks() -> None:
    assert fault({"type": "greater_than", "msg": "It is too small", "ctx": {"gt": 1.5}}) == (
        "It is too small"
    )
    assert fault({"type": "new_kind", "msg": "Odd\x1b", "ctx": {}}) == "Odd\\x1b"
