"""Which rows are sealed, and that only those committed to are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.agent.compute.derivation import commitment_salt, update_commitment
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.contribution.sealedrows import (
    check_commitment,
    checked_rows,
    chosen_rows,
    sums_with,
)
from secureflow.engines.preparation import validation_parts
from secureflow.engines.sealing import tensor_digest
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


def test_numbers_may_be_labels_where_there_are_no_classes() -> None:
    values = np.array([0.5, 0.25, 1.0, -3.5], np.float32)
    np.testing.assert_array_equal(checked_rows(values, 2, None, "a"), values.reshape(2, 2))
    with pytest.raises(SecureFlowError):
        checked_rows(values, 2, 2, "a")
