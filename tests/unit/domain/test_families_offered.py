"""A family that there is none of: what is offered in its place."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.families import LEARNS
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike
from secureflow.texts import error_in
from tests.unit.domain.test_bundle_family import asked


@pytest.mark.parametrize(
    ("family", "near"),
    [("bundel", "bundle"), ("MLP", "mlp"), ("logistic", "logistic_regression"),
     ("k-means", "kmeans"), ("cnn", "torch_cnn")],
)  # fmt: skip
def test_a_misspelt_family_names_those_that_may_be_meant(family: str, near: str) -> None:
    assert near in alike(family, LEARNS)
    refusal = refused({"family": family})
    assert f"there is no family '{family}': " in refusal.message
    assert "model.family" in refusal.message
    assert all(one in refusal.message for one in LEARNS)
    assert "rehearsal" not in refusal.message


@pytest.mark.parametrize("family", ["", "quantum", 7, ["odd"], "x" * 4000, "\u202e{family}"])
def test_one_like_no_other_names_all_that_there_are(family: object) -> None:
    refusal = refused({"family": family})
    assert "may be meant" not in refusal.message
    assert "The families are logistic_regression, " in refusal.message
    assert "\u202e" not in refusal.message
    chinese = error_in(refusal.as_json(), "zh")["message"]
    assert "可用的模型族" in chinese
    assert "families" not in chinese


def refused(model: dict[str, Any]) -> SecureFlowError:
    spec = asked()
    with pytest.raises(SecureFlowError) as caught:
        parse(TrainingSpec, {**dump(spec), "model": model})
    assert caught.value.details["fields"][0]["field"] == "model.family"
    return caught.value
