"""Datasets on the page: schema, uses, differences."""

from __future__ import annotations

from typing import Any

from secureflow.agent.console.screens.datasets import MOST_USES, dataset_view, usage_view
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.text import Text


def test_sensitive_columns_stand_first_and_say_what_they_hold() -> None:
    declared = DatasetConfig(
        "patients", "p.csv", "csv",
        (
            ColumnConfig("age", "number", bounds=(0.0, 120.0)),
            ColumnConfig("sex", "category", categories=("f", "m")),
            ColumnConfig("scan", "image", shape=(64, 64, 1), sensitive=True),
        ),
    )  # fmt: skip
    value = {"name": "patients", "columns": 3, "schema": declared.public_schema()}
    columns = dataset_view(value).columns
    assert [one.name for one in columns] == ["scan", "age", "sex"]
    assert [one.sensitive for one in columns] == [True, False, False]
    assert [one.detail for one in columns] == ["64 × 64 × 1 · uint8", "0 – 120", "f, m"]
    assert dataset_view(value).sensitive == 1


def use(job: str, at: int, outcome: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {"job": job, "at": at, "outcome": outcome, "dataset": "patients", **more}


def test_running_uses_stand_first_then_the_newest() -> None:
    value = {"uses": [use("a", 1, "running"), use("b", 3), use("c", 2)], "differences": []}
    usage = usage_view(value)
    assert [one.job for one in usage.uses] == ["a", "b", "c"]
    assert [one.job for one in usage.uses if one.running] == ["a"]


def test_only_so_many_uses_and_how_many_there_are() -> None:
    usage = usage_view({"uses": [use(f"j{n}", n) for n in range(MOST_USES + 5)]})
    assert (len(usage.uses), usage.count) == (MOST_USES, MOST_USES + 5)


def test_differences_keep_what_they_are_made_of() -> None:
    message = Text("It is over, and {count} of its entries are not proved to be in the log.",
                   count=2)  # fmt: skip
    (one,) = usage_view(
        {"uses": [], "differences": [{"job": "j", "difference": "unproved", "message": message}]}
    ).differences
    assert one.message is message
    assert one.kind == "unproved"


def test_epsilon_that_nobody_knows_is_not_zero() -> None:
    known, unknown = usage_view({"uses": [use("a", 2, epsilon=0.0), use("b", 1)]}).uses
    assert known.epsilon == 0.0
    assert unknown.epsilon is None
