"""Simulated jobs that hold rows out by key, and that choose by another figure than the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
import yaml

from secureflow import simulate
from secureflow.kit.errors import SecureFlowError

ROWS = 900
FEATURES: dict[str, Any] = {
    "label": {"column": "y", "positive": "yes"},
    "numeric": [{"column": "x", "bounds": [-4, 4]}],
}
PLAN = {"rounds": 2, "batch_size": 32, "learning_rate": 0.3, "validation": 0.2}
BY_KEY = {**PLAN, "split": {"by": "key"}}


def job(**plan: Any) -> dict[str, Any]:
    return {"kind": "training", "features": FEATURES, "plan": {**PLAN, **plan},
            "protection": "sealed"}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(3)
    x = draws.normal(size=ROWS)
    chance = 1 / (1 + np.exp(-2 * x))
    return pa.table(
        {
            "person": [at % 300 for at in range(ROWS)],
            "x": x,
            "y": np.where(draws.random(ROWS) < chance, "yes", "no"),
        }
    )


def test_folds_measure_every_row_once(table: pa.Table) -> None:
    rows = [
        simulate(job(split={"by": "key", "folds": 3, "fold": fold}), table, parties=3, key="person")
        .metrics["rows"]
        for fold in range(3)
    ]  # fmt: skip
    assert sum(rows) == ROWS
    assert min(rows) > 200


def test_neither_the_division_nor_the_seed_nor_the_format_moves_a_person(
    table: pa.Table, tmp_path: Path
) -> None:
    """All rows of one person are held out, or none, at whichever party they are."""
    plan = {"split": {"by": "key"}}
    one = simulate(job(**plan), table, parties=2, key="person").metrics["rows"]
    other = simulate(job(**plan, seed=99), table, parties=4, seed=5, key="person").metrics["rows"]
    assert one == other
    assert one % 3 == 0  # three rows of each
    pa_csv.write_csv(table, tmp_path / "rows.csv")
    found = simulate(job(**plan), tmp_path / "rows.csv", parties=2, key="person").metrics["rows"]
    assert found == one
    arrays = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    assert simulate(job(**plan), arrays, parties=2, key="person").metrics["rows"] == one


def test_the_key_that_owners_declare_is_taken(table: pa.Table, tmp_path: Path) -> None:
    pa_csv.write_csv(table, tmp_path / "rows.csv")
    declared = {
        "name": "clients", "path": "rows.csv", "format": "csv", "key": "person",
        "columns": [
            {"name": "x", "type": "number", "bounds": [-10, 10]},
            {"name": "y", "type": "category", "categories": ["yes", "no"]},
        ],
    }  # fmt: skip
    (tmp_path / "data.yaml").write_text(yaml.safe_dump([declared]))
    found = simulate(
        job(split={"by": "key"}), tmp_path / "rows.csv", parties=3, dataset=tmp_path / "data.yaml"
    )
    named = simulate(job(split={"by": "key"}), table, parties=3, key="person")
    assert found.metrics["rows"] == named.metrics["rows"]


def test_without_a_column_of_keys_the_error_says_how_to_name_it(table: pa.Table) -> None:
    with pytest.raises(SecureFlowError) as error:
        simulate(job(split={"by": "key"}), table, parties=3)
    assert error.value.code == "key_undeclared"
    assert "--key COLUMN" in str(error.value.hint)
    with pytest.raises(SecureFlowError, match="nobody"):
        simulate(job(split={"by": "key"}), table, parties=3, key="nobody")


def test_a_row_without_a_key_is_named(table: pa.Table) -> None:
    persons = [*range(40), None, *range(ROWS - 41)]
    holes = table.set_column(0, "person", pa.array(persons, pa.int64()))
    with pytest.raises(SecureFlowError, match="row 41") as error:
        simulate(job(split={"by": "key"}), holes, parties=3, key="person")
    assert "it is empty, and is the key" in str(error.value.message)


def test_with_privacy_rows_are_held_out_by_key_as_well(table: pa.Table) -> None:
    private = {
        **job(split={"by": "key"}, learning_rate=1.0),
        "features": {**FEATURES, "numeric": [{**FEATURES["numeric"][0], "scale": "bounds"}]},
        "privacy": {"delta": 1e-5, "noise_multiplier": 1.0, "rows": ROWS, "metrics_noise": 1.0},
    }
    exact = simulate(job(split={"by": "key"}), table, parties=3, key="person").metrics["rows"]
    noised = simulate(private, table, parties=3, key="person").metrics["rows"]
    assert abs(noised - exact) < 30


def test_few_held_out_rows_are_said_not_to_be_trained_on(table: pa.Table) -> None:
    outcome = simulate(job(split={"by": "key"}, validation=0.02), table, parties=6, key="person")
    assert any("they are not trained on either" in str(note) for note in outcome.notes)


def test_the_best_model_is_kept_by_the_figure_that_the_plan_names(table: pa.Table) -> None:
    """Steps so large that the last model is not the best."""
    plan = {"rounds": 8, "learning_rate": 25.0, "keep": "best"}
    best = simulate(job(**plan, metric="accuracy"), table, parties=3)
    figures = [*(row["accuracy"] for row in best.history[1:]), best.last_metrics["accuracy"]]
    assert best.kept_round == figures.index(max(figures)) + 1
    assert best.metrics["accuracy"] == max(figures)


def test_an_early_stop_goes_by_the_figure_that_the_plan_names(table: pa.Table) -> None:
    stop = {"early_stop": {"patience": 1, "min_delta": 1.0}, "metric": "auc", "rounds": 9}
    assert len(simulate(job(**stop), table, parties=3).history) == 2  # no gain is so large
