"""What contradicts a statistics job is refused with the field and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from peers.chinese import in_chinese
from peers.statistics import (
    COLUMNS,
    EVERY,
    LAPLACE,
    LOCAL,
    LOCALLY,
    PARTY,
    PERSON,
    PYDP,
    SHARED,
    statistics_spec,
    statistics_value,
)

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.statistics import StatisticsSpec, check_statistics, slots_of, tree
from secureflow.kit.errors import SecureFlowError

KEY = "A" * 43 + "="


@pytest.mark.parametrize(
    ("queries", "privacy"),
    [(EVERY, SHARED), (EVERY, PARTY), (EVERY, LAPLACE), (EVERY, PYDP), (LOCAL, LOCALLY)],
)
def test_a_sound_spec_passes_and_survives_its_json(
    queries: list[dict[str, Any]], privacy: dict[str, Any]
) -> None:
    spec = statistics_spec(queries, privacy | {"unit": "person"}, contributions=3)
    check_statistics(spec)
    assert parse(StatisticsSpec, dump(spec)) == spec


def _query(**changes: Any) -> dict[str, Any]:
    return {"queries": [{"name": "q", "measure": "mean", "column": "age", **changes}]}


def _column(**changes: Any) -> dict[str, Any]:
    age = {"column": "age", "type": "number", "bounds": [0, 100], **changes}
    return {**_query(), "columns": [age]}


def _sex(**changes: Any) -> dict[str, Any]:
    sex = {"column": "sex", "type": "category", "categories": ["f", "m"], **changes}
    return {**_query(measure="histogram", column="sex"), "columns": [sex]}


def _local(**query: Any) -> dict[str, Any]:
    return {"privacy": LOCALLY, **_query(**query)}


MANY = [str(number) for number in range(4096)]
CONTRADICTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("roster", {"parties": 1}, "fewer than 2"),
    ("min_contributors", {"min_contributors": 2}, "fewer than three"),
    ("roster", {"roster": [{"party": "a", "key": KEY[:-2] + f"{i}="} for i in range(3)]}, "twice"),
    ("roster", {"roster": [{"party": f"p{i}", "key": KEY} for i in range(3)]}, "same signing key"),
    ("min_contributors", {"min_contributors": 6}, "exceeds"),
    ("columns.age", {"columns": [COLUMNS[0], *COLUMNS]}, "twice"),
    ("columns.cost", {**_query(), "columns": COLUMNS[:2]}, "no query"),
    ("columns.age", _column(bounds=None), "without bounds"),
    ("columns.age", _column(bounds=[5, 5]), "not below"),
    ("columns.age", _column(bounds=[0, 1e101]), "beyond"),
    ("columns.age", _column(bounds=[0, 1e-300]), "so close"),
    ("columns.age", _column(categories=["a"]), "no categories"),
    ("columns.sex", _sex(bounds=[0, 1]), "no bounds"),
    ("columns.sex", _sex(categories=[]), "missing"),
    ("columns.sex", _sex(categories=["f", "f"]), "twice"),
    ("queries.q", {"queries": _query()["queries"] * 2}, "have this name"),
    ("queries.q.column", {**_query(column="height"), "columns": []}, "declared"),
    ("queries.q.by", {**_query(by="town"), "columns": COLUMNS[:1]}, "declared"),
    ("queries.q.by", {**_query(by="cost"), "columns": COLUMNS[:2]}, "not by a number"),
    ("queries.q.by", _query(measure="count", column="sex", by="sex"), "itself"),
    ("queries.q.column", _query(column=None), "needs a column"),
    ("queries.q.measure", _query(column="sex"), "category has no mean"),
    ("queries.q.measure", _query(measure="quantile", column="sex", quantiles=[0.5]), "no quantile"),
    ("queries.q.quantiles", _query(measure="quantile"), "which quantiles"),
    ("queries.q.quantiles", _query(quantiles=[0.5]), "which quantiles"),
    ("queries.q.quantiles", _query(measure="quantile", quantiles=[0.5, 0.5]), "twice"),
    ("privacy.unit", {"privacy": {**SHARED, "unit": "party"}}, "whole party"),
    ("contributions", {"contributions": 2}, "one row"),
    ("privacy.mechanism", {"privacy": {**SHARED, "mechanism": "laplace"}}, "do not add up"),
    ("privacy.mechanism", {"privacy": {**LOCALLY, "mechanism": "gaussian"}}, "no Gaussian"),
    ("privacy.library", {"privacy": {**SHARED, "library": "pydp"}}, "PyDP"),
    ("privacy.library", {"privacy": {**PARTY, "library": "pydp"}}, "PyDP"),
    ("privacy.library", {"privacy": {**LOCALLY, "library": "pydp"}, "queries": LOCAL}, "PyDP"),
    ("queries.q.measure", _local(measure="count", column=None), "released as it is"),
    ("queries.q.measure", _local(measure="count", by="sex"), "released as it is"),
    ("queries.q.by", _local(by="sex"), "needs two"),
    ("queries.q.column", {"privacy": LOCALLY, **_sex(categories=["f"])}, "no value to hide"),
    ("privacy.noise_multiplier", {"privacy": {"delta": 1e-6, "epsilon": 1.0}}, "calibrated"),
    ("privacy.noise_multiplier", {"privacy": PERSON | {"noise_multiplier": 2e5},
                                  "contributions": 6}, "only noise is left"),
    ("privacy.noise_multiplier", {"privacy": LOCALLY | {"noise_multiplier": 1001},
                                  "queries": LOCAL}, "only noise is left"),
    ("queries", {"queries": [
        {"name": f"q{i}", "measure": "mean", "column": "age", "by": "sex"} for i in range(9)
    ], "columns": [COLUMNS[0], {**COLUMNS[2], "categories": MANY}]}, "73728 numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "changes", "reason"), CONTRADICTIONS)
def test_a_contradiction_is_refused_by_name(
    field: str, changes: dict[str, Any], reason: str
) -> None:
    changes = dict(changes)
    value = statistics_value(changes.pop("queries", None), changes.pop("privacy", None), **changes)
    with pytest.raises(SecureFlowError) as refused:
        check_statistics(parse(StatisticsSpec, value))
    assert refused.value.code == "contradictory_spec"
    assert refused.value.details == {"field": field}
    assert reason in refused.value.message
    assert in_chinese(refused.value)


def test_slots_follow_measure_groups_and_placement() -> None:
    spec = statistics_spec()
    counted = {q.name: slots_of(spec, q) for q in spec.queries}
    assert counted == {
        "rows": 1, "known-age": 1, "by-sex": 3, "cost": 1, "mean-age": 2, "mean-by-sex": 6,
        "spread": 3, "ages": 10, "sexes": 3, "median": 100 + 25 + 7 + 2,
    }  # fmt: skip
    local = statistics_spec(LOCAL, LOCALLY)
    assert [slots_of(local, q) for q in local.queries] == [3, 2, 2, 3, 5, 3, 10]


def test_laplace_trees_are_flat_until_two_levels_pay() -> None:
    laplace = statistics_spec(privacy=LAPLACE).privacy
    assert [tree(laplace, bins) for bins in (2, 64, 65, 256)] == [(1,), (1,), (1, 9), (1, 16)]
    gaussian = statistics_spec().privacy
    assert [tree(gaussian, bins) for bins in (2, 4, 5, 64)] == [(1,), (1,), (1, 4), (1, 4, 16)]
