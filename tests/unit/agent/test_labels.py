"""Labels and weights of a job against the owner's own declaration, at the agent."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.training.family_world import private, spec

from secureflow.agent.kinds.training.features import check_features
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.kit.errors import SecureFlowError

COLUMNS: dict[str, dict[str, Any]] = {
    "x0": {"type": "number", "bounds": [-1, 1]},
    "x1": {"type": "number", "bounds": [-1, 1]},
    "word": {"type": "category", "categories": ["l", "m", "r"]},
    "count": {"type": "number", "bounds": [0, 2]},
    "y": {"type": "category", "categories": ["yes", "no"]},
    "kind": {"type": "category", "categories": ["a", "b"]},
    "price": {"type": "number", "bounds": [-20, 20]},
}
FAMILY = {"binary": "logistic_regression", "classes": "softmax", "number": "linear"}
WEIGHT = {"weight": {"column": "count", "bounds": [0, 2]}}


def declared(**changes: Any) -> DatasetConfig:
    columns = [{"name": name, **one} for name, one in (COLUMNS | changes).items()]
    value = {"name": "rows", "path": "rows.csv", "format": "csv", "columns": columns}
    return parse(DatasetConfig, value, "dataset")


@pytest.mark.parametrize("target", list(FAMILY))
def test_what_the_owner_declares_is_accepted(target: str) -> None:
    check_features(spec(FAMILY[target], target, features=WEIGHT), declared())
    job = spec(FAMILY[target], target, features=WEIGHT, **private("enclave"))
    check_features(job, declared())


@pytest.mark.parametrize(
    ("target", "changes", "code"),
    [
        ("binary", {"y": {"type": "category", "categories": ["no"]}}, "unknown_category"),
        ("binary", {"y": {"type": "number"}}, "malformed_label"),
        ("classes", {"kind": {"type": "category", "categories": ["a", "z"]}}, "unknown_category"),
        ("classes", {"kind": {"type": "number"}}, "malformed_label"),
        ("number", {"price": {"type": "text"}}, "column_not_granted"),
        ("number", {"count": {"type": "text"}}, "column_not_granted"),
    ],
)
def test_a_label_that_the_column_cannot_be_is_refused(
    target: str, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_features(spec(FAMILY[target], target, features=WEIGHT), declared(**changes))
    assert caught.value.code == code
    if code == "unknown_category":
        declares = ", ".join(*(one["categories"] for one in changes.values()))
        assert caught.value.hint.endswith(f"this one declares: {declares}.")


@pytest.mark.parametrize("column", ["price", "count"])
@pytest.mark.parametrize(
    ("own", "code"),
    [
        (None, "bounds_undeclared"),
        ([-30, 30], "bounds_too_narrow"),
        ([0, 0.001], "bounds_too_wide"),
    ],
)
def test_a_labels_and_a_weights_bounds_are_the_owners(
    column: str, own: list[float] | None, code: str
) -> None:
    """With others, failures would tell one by one where the cells of a row lie."""
    changes = {column: {"type": "number", **({} if own is None else {"bounds": own})}}
    for noise in ({}, private("local")):
        job = spec("linear", "number", features=WEIGHT, **noise)
        with pytest.raises(SecureFlowError) as caught:
            check_features(job, declared(**changes))
        assert caught.value.code == code
        assert caught.value.details["column"] == column
