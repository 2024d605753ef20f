from __future__ import annotations

import numpy as np
import pytest

from secureflow.domain.specs.training import CategoricalFeature, FeatureSpec, Label, NumericFeature
from secureflow.engines.preparation import Moments, design_matrix, feature_matrix
from secureflow.kit.errors import SecureFlowError

FEATURES = FeatureSpec(
    Label("income", "high"),
    (NumericFeature("age", (0.0, 100.0)),),
    (
        CategoricalFeature("work", ("a", "b"), missing="indicator"),
        CategoricalFeature("home", ("x", "y", "z")),
    ),
)
MOMENTS = Moments((40.0,), (10.0,))


def table(**changes: object) -> dict[str, np.ndarray]:
    columns = {
        "age": np.array([50.0, np.nan, 250.0]),
        "work": np.array(["b", None, "a"], dtype=object),
        "home": np.array([None, "z", "x"], dtype=object),
        "income": np.array(["high", "low", "high"], dtype=object),
    }
    return {**columns, **changes}  # type: ignore[dict-item]


def test_layout_scaling_and_missing_values() -> None:
    X, y = design_matrix(FEATURES, MOMENTS, table())
    assert X.dtype == y.dtype == np.float32
    assert X.flags.c_contiguous
    assert FEATURES.width == X.shape[1] == 7
    assert X.tolist() == [
        [1, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 1],  # missing age is the mean; work has an indicator
        [6, 1, 0, 0, 1, 0, 0],  # 250 is clamped to 100
    ]
    assert y.tolist() == [1, 0, 1]


def test_text_that_is_a_number_is_taken_as_one() -> None:
    X, _ = design_matrix(FEATURES, MOMENTS, table(age=np.array(["50", None, " 30 "], object)))
    assert X[:, 0].tolist() == [1, 0, -1]


def test_prediction_needs_no_label() -> None:
    columns = table()
    del columns["income"]
    assert feature_matrix(FEATURES, MOMENTS, columns).shape == (3, 7)


@pytest.mark.parametrize(
    ("change", "code", "row", "column"),
    [
        ({"work": np.array(["a", "b", "SECRET"], object)}, "unknown_category", 3, "work"),
        ({"work": np.array(["a", ["SECRET"], "a"], object)}, "unknown_category", 2, "work"),
        ({"home": np.array([1.0, 2.0, 3.0])}, "unknown_category", 1, "home"),
        ({"age": np.array(["1", "SECRET", "2"], object)}, "malformed_cell", 2, "age"),
        ({"age": np.array([1.0, 2.0, np.inf])}, "malformed_cell", 3, "age"),
        ({"age": np.array([1.0, 2.0])}, "malformed_cell", 3, "age"),
        ({"income": np.array(["high", None, "low"], object)}, "missing_label", 2, "income"),
        ({"income": np.array([1.0, 0.0, np.nan])}, "malformed_label", None, "income"),
    ],
)
def test_errors_name_row_and_column_but_no_value(
    change: dict[str, np.ndarray], code: str, row: int | None, column: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        design_matrix(FEATURES, MOMENTS, table(**change))
    error = caught.value
    assert error.code == code
    assert error.details.get("column") == column
    assert error.details.get("row") == row
    assert "SECRET" not in str(error.as_json())
    assert "SECRET" not in repr(error.__cause__)


def test_a_numeric_label_is_compared_as_number() -> None:
    features = FeatureSpec(Label("y", "1"), (NumericFeature("age", (0.0, 100.0)),))
    columns = {"age": np.zeros(3), "y": np.array([0, 1, 1])}
    assert design_matrix(features, MOMENTS, columns)[1].tolist() == [0, 1, 1]
    with pytest.raises(SecureFlowError, match="Row 2 has no label"):
        design_matrix(features, MOMENTS, {"age": np.zeros(2), "y": np.array([0, np.nan])})


def test_a_missing_column_is_named() -> None:
    columns = table()
    del columns["home"]
    with pytest.raises(SecureFlowError) as caught:
        design_matrix(FEATURES, MOMENTS, columns)
    assert (caught.value.code, caught.value.details) == ("missing_column", {"column": "home"})
