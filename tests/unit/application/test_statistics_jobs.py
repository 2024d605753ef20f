"""A statistics job as the centre drafts it: what owners declared is filled in, never asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.statistics import draft_statistics, price_statistics, with_price
from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.statistics.layout import slots
from secureflow.engines.statistics.plan import statistics_plan
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, COLUMNS, YEAR, Stage
from tests.unit.application.refusing import refused

QUERIES = [
    {"name": "rows", "measure": "count"},
    {"name": "mean-age", "measure": "mean", "column": "age", "by": "job"},
]
PRIVACY = {"delta": 1e-6, "epsilon": 1.0}
RECORD = {"unit": "record", "rows_per_person": 1}


def columns(**changes: Any) -> list[dict[str, Any]]:
    """The declaration with columns changed by name; None leaves one out."""
    kept = [one for one in COLUMNS if changes.get(one["name"], one) is not None]
    return [{**one, **changes.get(one["name"], {})} for one in kept]


async def publish(stage: Stage, bank: str, privacy: Any = RECORD, **changes: Any) -> None:
    body = {
        "name": "customers",
        "title": "Customers",
        "columns": columns(**changes),
        "rows": "10k-50k",
        "commitment": "ab" * 32,
        "privacy": privacy,
    }
    dataset = await stage.services.datasets.publish(bank, body)
    assert dataset.id == stage.ids[f"{bank}.dataset"]
    if dataset.reduced or dataset.ended:  # more is let through: its owner grants it again
        await stage.services.datasets.grant(
            stage.owner(bank), dataset.id, project=stage.ids["project"],
            columns=[column["name"] for column in body["columns"]],
            purposes=["credit-scoring"], expires=stage.now[0] + YEAR,
        )  # fmt: skip


@pytest.fixture(autouse=True)
async def published(stage: Stage) -> None:
    for bank in BANKS:
        await publish(stage, bank)


def wanted(stage: Stage, queries: Any = QUERIES, **parts: Any) -> Wanted:
    parts = {"queries": queries, "privacy": PRIVACY, **parts}
    return stage.wanted(parts=parts, kind="statistics", name="ages")


async def spec_of(stage: Stage, **parts: Any) -> dict[str, Any]:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage, **parts))
    return told.spec


async def refuse(stage: Stage, code: str, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await spec_of(stage, **parts)
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


@pytest.mark.slow
async def test_bounds_and_categories_are_the_widest_of_all_owners(stage: Stage) -> None:
    await publish(stage, "bank-b", age={"bounds": [-1, 100]}, job={"categories": ["maid", "clerk"]})
    spec = await spec_of(stage)
    assert spec["columns"] == [
        {"column": "age", "type": "number", "bounds": [-1.0, 120.0], "categories": []},
        {"column": "job", "type": "category", "bounds": None,
         "categories": ["clerk", "farmer", "maid"]},
    ]  # fmt: skip
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage))
    differs = (
        "bank-a declares age within [0, 120]; the noise fits the widest bounds of all, [-1, 120]."
    )
    assert differs in told.notes


@pytest.mark.slow
async def test_unit_and_contributions_are_the_owners(stage: Stage) -> None:
    assert (await spec_of(stage))["contributions"] == 1
    for rows, bank in enumerate(BANKS, start=2):
        await publish(stage, bank, {"unit": "person", "rows_per_person": rows})
    spec = await spec_of(stage)
    assert (spec["privacy"]["unit"], spec["contributions"]) == ("person", 4)


async def test_owners_of_different_units_are_not_asked_together(stage: Stage) -> None:
    await publish(stage, "bank-c", {"unit": "person", "rows_per_person": 2})
    error = await refuse(stage, "budget_unit_mismatch")
    assert "bank-c per person" in error.message


async def test_an_owner_without_a_budget_is_named(stage: Stage) -> None:
    await publish(stage, "bank-b", None)
    assert "bank-b" in (await refuse(stage, "budget_undeclared")).message


async def test_a_whole_party_is_no_unit_of_statistics(stage: Stage) -> None:
    for bank in BANKS:
        await publish(stage, bank, {"unit": "party", "rows_per_person": 1})
    assert (await refuse(stage, "contradictory_spec")).details == {"field": "privacy.unit"}


@pytest.mark.parametrize(
    ("changes", "code", "party"),
    [
        ({"age": None}, "unknown_column", "bank-b"),
        ({"age": {"bounds": None}}, "contradictory_spec", "bank-b"),
        ({"age": {"type": "text", "bounds": None}}, "contradictory_spec", "bank-b"),
        (
            {"age": {"type": "category", "bounds": None, "categories": ["old"]}},
            "contradictory_spec",
            "bank-b",
        ),
    ],
)
async def test_a_column_must_be_declared_alike(
    stage: Stage, changes: dict[str, Any], code: str, party: str
) -> None:
    await publish(stage, "bank-b", **changes)
    assert party in (await refuse(stage, code)).message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"columns": [{"column": "age", "type": "number", "bounds": [0, 1]}]}, "invalid_spec"),
        ({"contributions": 3}, "invalid_spec"),
        ({"privacy": {**PRIVACY, "unit": "person"}}, "invalid_spec"),
        ({"privacy": {"delta": 1e-6}}, "contradictory_spec"),
        ({"privacy": {**PRIVACY, "noise_multiplier": 0.5}}, "contradictory_spec"),
        ({"privacy": None}, "invalid_spec"),
        ({"queries": []}, "invalid_spec"),
        ({"queries": [{"name": "x", "measure": "mean", "column": "nobody"}]}, "unknown_column"),
        ({"queries": [{"name": "x", "measure": "mean"}]}, "contradictory_spec"),
        ({"queries": 5}, "invalid_spec"),
        ({"min_contributors": 2}, "contradictory_spec"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    stage: Stage, parts: dict[str, Any], code: str
) -> None:
    await refuse(stage, code, **parts)


async def test_columns_need_a_grant(stage: Stage) -> None:
    purpose = replace(wanted(stage), purpose="marketing")
    with refused("column_not_granted") as caught:
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), purpose)
    grant = stage.ids["bank-a.grant"]
    assert caught.value.hint.endswith(f"It has granted: credit-scoring ({grant}).")


@pytest.mark.slow
@pytest.mark.parametrize(
    "privacy",
    [
        PRIVACY,
        {**PRIVACY, "noise": "party", "mechanism": "laplace"},
        {**PRIVACY, "noise": "party", "mechanism": "laplace", "library": "pydp"},
    ],
)
async def test_a_dry_run_says_noise_epsilon_and_width(stage: Stage, privacy: Any) -> None:
    told = await stage.services.jobs.dry_run(
        stage.scientist("bank-a"), wanted(stage, privacy=privacy)
    )
    price = told.details["privacy"]
    assert price["noise_multiplier"] == told.spec["privacy"]["noise_multiplier"] > 0.5
    assert 0.9 < price["epsilon"]["rdp-cks20"] <= 1.0
    assert (price["unit"], price["contributions"], price["releases"]) == ("record", 1, 2)
    rows, mean = told.details["expected"]
    assert 0 < rows["standard_error"] < 100
    assert 0 < mean["standard_error"] < 60


@pytest.mark.slow
async def test_local_noise_is_priced_per_value(stage: Stage) -> None:
    queries = [{"name": "jobs", "measure": "histogram", "column": "job"}]
    told = await stage.services.jobs.dry_run(
        stage.scientist("bank-a"),
        wanted(stage, queries, privacy={**PRIVACY, "noise": "local", "mechanism": "laplace"}),
    )
    assert told.details["privacy"]["epsilon"]["rdp-cks20"] <= 1.0
    assert any("how many rows" in note for note in told.notes)


async def test_a_declaration_that_changes_while_the_job_is_priced(stage: Stage) -> None:
    """The price was for one row of a person; more may count by now."""
    asked = wanted(stage)
    async with stage.database.begin() as work:
        drafted = await draft_statistics(work, asked, "ada", stage.now[0])
    priced = await price_statistics(drafted, asked.parts, stage.services.jobs._accountant)
    assert with_price(drafted, priced).spec == priced.spec
    await publish(stage, "bank-b", age={"bounds": [0, 200]})
    async with stage.database.begin() as work:
        later = await draft_statistics(work, asked, "ada", stage.now[0])
    with refused("stale_version"):
        with_price(later, priced)


async def test_a_submitted_job_keeps_its_price_and_is_explained(stage: Stage) -> None:
    scientist = stage.scientist("bank-a")
    job = await stage.services.jobs.submit(scientist, wanted(stage))
    assert (job.kind, job.script) == ("statistics", "statistics/2")
    told = await stage.services.jobs.explain(scientist, job.id)
    assert (told["rounds"], told["privacy"]["epsilon"], told["tee"]) == (0, 0.0, "")
    assert told["privacy"]["charge"] == []
    async with stage.database.begin() as work:
        data = {"round": 1, "parties": ["bank-a", "bank-b"]}
        await work.events.append(job.id, "round", stage.now[0], data)
        gone = {"dropouts": [{"party": "bank-c"}]}
        await work.events.append(job.id, "dropouts", stage.now[0], gone)
        await work.commit()
    await stage.finish(job, state=JobState.SUCCEEDED, report={})
    told = await stage.services.jobs.explain(scientist, job.id)
    assert 0.9 < told["privacy"]["epsilon"] <= 1.0
    assert told["epsilon_per_round"] == [{"round": 1, "epsilon": told["privacy"]["epsilon"]}]
    assert told["dropouts"] == [{"party": "bank-c"}]
    stopped = {line["attack"]: line["stopped"] for line in told["attacks"]}
    assert stopped["the operator reads a single party's sums"] == "yes"
    assert stopped["a contributor sends false sums"] == "no"


async def test_room_is_asked_for_the_vectors_that_a_job_sends(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no model: what takes room is the kind's masked sums, as its plan has them."""
    asked: list[int] = []
    monkeypatch.setattr(stage.services.jobs, "_room", asked.append)
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage))
    spec = parse(StatisticsSpec, told.spec)
    vector = statistics_plan(spec, "", told.digest).vector_bytes
    assert vector >= 4 * slots(spec)
    assert asked == [2 * len(BANKS) * (vector + (1 << 16))]


@pytest.mark.parametrize("column", [
    {"type": "image", "shape": [2, 2, 3]}, {"type": "array", "shape": [4], "dtype": "float32"},
])  # fmt: skip
async def test_images_and_arrays_have_no_statistics(stage: Stage, column: dict[str, Any]) -> None:
    for bank in BANKS:  # although all declare it alike
        await publish(stage, bank, age={**column, "bounds": None})
    error = await refuse(stage, "contradictory_spec")
    assert error.message == f"columns.age: bank-a declares it as {column['type']}."
    assert "leave images and arrays out" in error.hint
