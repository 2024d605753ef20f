"""Which rows are sealed, and that only those committed to are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.agent.compute.derivation import commitment_salt, update_commitment
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    NumericFeature,
    TrainingPlan,
)
from secureflow.engines.contribution.sealedrows import (
    Rows,
    as_matrix,
    check_commitment,
    checked_rows,
    chosen_rows,
    sums_with,
)
from secureflow.engines.preparation import Moments, design_matrix, validation_parts
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.training.rowlimits import row_limits
from secureflow.kit.errors import SecureFlowError
from tests.unit.domain.test_plan_rules import SPEC

SECRET = b"\x05" * 32


def test_rows_are_drawn_by_the_seed_alone() -> None:
    first = chosen_rows(5, 40, b"\x01" * 32)
    assert list(first) == sorted(set(first.tolist()))
    np.testing.assert_array_equal(first, chosen_rows(5, 40, b"\x01" * 32))
    assert list(first) != list(chosen_rows(5, 40, b"\x02" * 32))
    np.testing.assert_array_equal(chosen_rows(4, 4, b""), range(4))


def test_whoever_holds_out_too_few_says_so_but_not_how_many() -> None:
    with pytest.raises(SecureFlowError) as refused:
        chosen_rows(20, 17, SECRET)
    assert refused.value.code == "validation_too_few"
    assert "17" not in refused.value.message


def test_no_row_that_trains_is_sealed(tmp_path: Path) -> None:
    plan = TrainingPlan(validation=0.2, draws="words", contribution=ContributionPlan(10))
    spec = replace(SPEC, plan=plan)
    x = np.linspace(0.0, 1.0, 200)
    columns = {"x": x, "y": np.array(["1", "0"] * 100, object)}
    NumpyRunner(spec, columns, SECRET).write_validation(tmp_path / "rows", None, b"\x01" * 32)
    written = np.fromfile(tmp_path / "rows", "<f4").reshape(10, 2)
    train, held = validation_parts(plan, 200, SECRET)
    prepared = NumpyRunner(spec, columns, SECRET)._matrices(None)[1][0][:, 0]
    assert set(written[:, 0].tolist()) <= set(np.asarray(prepared).tolist())
    assert len(held) == len(prepared) > 10
    assert not set(train) & set(held)


def test_rows_open_the_commitment_of_the_leaf_and_no_other_ones_do() -> None:
    salt = commitment_salt(SECRET, 0, "validation")
    rows, sums = np.arange(6, dtype=np.float32), sums_with(salt)
    content = tensor_digest(rows.tobytes() + sums.tobytes())
    made = update_commitment(SECRET, 0, "validation", content)
    check_commitment(rows, sums, made, "bank-a")
    other = rows.copy()
    other[5] += 1
    for values, words in (
        (other, sums),
        (rows, sums_with(b"\x01" * 32)),
        (rows, sums[:-1]),
        (rows, np.where(np.arange(9) == 3, np.nan, sums)),
        (rows, np.where(np.arange(9) == 3, -1.0, sums)),
    ):
        with pytest.raises(SecureFlowError) as refused:
            check_commitment(values, words, made, "bank-a")
        assert refused.value.code == "validation_swapped"


FEATURES = FeatureSpec(
    NumberLabel("y", (0.0, 10.0)),
    (
        NumericFeature("age", (0.0, 100.0), "bounds"),
        NumericFeature("debt", (-50.0, 50.0)),
        NumericFeature("raw", (2.0, 3.0), "none"),
    ),
    (
        CategoricalFeature("job", ("x", "y"), "indicator"),
        CategoricalFeature("town", ("p", "q")),
    ),
)
MOMENTS = Moments((50.0, 10.0, 0.0), (50.0, 4.0, 1.0))
LIMITS = row_limits(FEATURES, MOMENTS)


def prepared() -> Rows:
    """Return rows at every edge of what preparation makes."""
    columns = {
        "age": np.array([0.0, 100.0, np.nan, 400.0]),
        "debt": np.array([-50.0, 50.0, np.nan, -1e9]),
        "raw": np.array([2.0, 3.0, np.nan, 9.0]),
        "job": np.array(["x", "y", None, "x"], object),
        "town": np.array(["p", "q", None, None], object),
        "y": np.array([0.0, 10.0, 5.0, 2.5]),
    }
    return as_matrix(*design_matrix(FEATURES, MOMENTS, columns))


def test_whatever_preparation_makes_is_a_row() -> None:
    rows = prepared()
    np.testing.assert_array_equal(checked_rows(rows.ravel(), LIMITS, "a"), rows)
    np.testing.assert_array_equal(LIMITS.high, [1, 10, 3, *[1] * 6])
    assert LIMITS.low[1] == -15


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 1.001), (0, -1.001), (1, 10.1), (1, -15.1), (2, 3.1), (2, -0.1), (3, 0.5), (3, 0.0),
     (4, 1.0), (6, 2.0), (7, 1.0), (8, 1.1), (8, -1.1)],
)  # fmt: skip
def test_what_preparation_cannot_make_is_no_row(place: int, value: float) -> None:
    """With numbers beyond the bounds, a row could tell single coordinates of others' updates."""
    rows = prepared()
    rows[0, place] = value
    with pytest.raises(SecureFlowError) as refused:
        checked_rows(rows.ravel(), LIMITS, "bank-a")
    assert refused.value.code == "value_out_of_bounds"
    assert "bank-a" in refused.value.message


def test_labels_are_of_the_classes() -> None:
    for label, last in ((Label("y", "1"), 1.0), (ClassesLabel("y", ("a", "b", "c")), 2.0)):
        limits = row_limits(replace(FEATURES, label=label), MOMENTS)
        rows = prepared()
        rows[:, -1] = last
        checked_rows(rows.ravel(), limits, "a")
        for wrong in (last + 1, 0.5, -1.0):
            rows[0, -1] = wrong
            with pytest.raises(SecureFlowError) as refused:
                checked_rows(rows.ravel(), limits, "a")
            assert refused.value.code == "validation_label_wrong"
