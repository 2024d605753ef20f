"""Rules of targets and of ridge that keep a job from computing something else than it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import private, spec

from secureflow.domain.specs.targets import ClassesLabel, Label
from secureflow.engines.preparation import label_vector
from secureflow.kit.errors import SecureFlowError

ONE = {"numeric": [{"column": "x0", "bounds": [0, 1], "scale": "bounds"}], "categorical": []}


@pytest.mark.parametrize("classes", [("1", "1.0", "2"), ("1", "01"), ("nan", "1"), ("1", "inf")])
def test_classes_that_are_no_numbers_of_their_own_are_refused_for_a_column_of_numbers(
    classes: tuple[str, ...],
) -> None:
    """Of two names of one number the first would have no row, and every figure would be wrong."""
    with pytest.raises(SecureFlowError) as caught:
        label_vector(ClassesLabel("y", classes), {"y": np.array([1.0, 2.0, 1.0])})
    assert caught.value.code == "malformed_label"
    words = np.array([classes[0], classes[1]], dtype=object)
    assert label_vector(ClassesLabel("y", classes), {"y": words}).tolist() == [0.0, 1.0]


def test_a_positive_class_that_no_cell_equals_is_refused_for_a_column_of_numbers() -> None:
    with pytest.raises(SecureFlowError) as caught:
        label_vector(Label("y", "nan"), {"y": np.array([1.0, 2.0])})
    assert caught.value.code == "malformed_label"


@pytest.mark.parametrize(("clip", "fits"), [(2.2, False), (2.24, True)])
def test_ridge_of_one_input_may_be_as_long_as_the_root_of_five(clip: float, fits: bool) -> None:
    """A row x = z = 1 adds (1, 1, 1) and (1, 1): a shorter clip_norm would cut sums unnoticed."""
    changes: dict[str, Any] = {"features": ONE, "limits": {"clip_norm": clip}}
    if fits:
        spec("ridge", "number", **changes)
        return
    with pytest.raises(SecureFlowError) as caught:
        spec("ridge", "number", **changes)
    assert caught.value.details == {"field": "limits.clip_norm"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"limits": {"clip_norm": 5.0}}, "limits.clip_norm"),
        ({"protection": "secagg", "quantisation": {"clip": 1.0}}, "quantisation.clip"),
    ],
)
def test_noised_sums_of_ridge_must_not_be_cut_either(changes: dict[str, Any], field: str) -> None:
    spec("ridge", "number", **private("local"))
    with pytest.raises(SecureFlowError) as caught:
        spec("ridge", "number", **(private("local") | changes))
    assert caught.value.details == {"field": field}
