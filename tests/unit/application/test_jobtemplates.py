"""Templates of jobs, filled from granted datasets: each is a job that could be submitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from secureflow.demo.data import ADULT, dataset_config
from secureflow.domain.datasets import Dataset
from secureflow.domain.jobtemplates import TEMPLATES, Wishes, fill
from secureflow.domain.schemas import ColumnConfig, PublicPrivacy
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import catalogue
from tests.stage import BANKS, YEAR, Stage
from tests.unit.application.test_statistics_jobs import publish

COLUMNS = (
    ColumnConfig("age", "number", bounds=(0, 100)),
    ColumnConfig("Job Title", "category", ("clerk", "farmer")),
    ColumnConfig("id", "text"),
    ColumnConfig("defaulted", "category", ("no", "yes"), sensitive=True),
    ColumnConfig("secret", "number", bounds=(0, 1), sensitive=True),
)


def dataset(party: str, **changes: Any) -> Dataset:
    made = Dataset(f"dst_{party}", party, "customers", "Customers", COLUMNS, "1k", "ab" * 32, 1)
    return replace(made, **changes)


def wishes(*datasets: Dataset, **more: Any) -> Wishes:
    every = datasets or (dataset("bank-a"), dataset("bank-b"))
    return Wishes("prj_1", "credit-scoring", {one.organisation: one for one in every}, **more)


def steps(request: dict[str, Any]) -> dict[str, Any]:
    return {one["id"]: one for one in request["steps"]}


async def publish_adult(stage: Stage, folder: Path, **granted: list[str]) -> None:
    """Publish the demo's dataset for each bank, and grant all of it or the named columns."""
    silo = folder / "silo.parquet"
    pq.write_table(pq.read_table(ADULT).drop_columns(["fold"]).slice(0, 1), silo)
    columns = [dump(one) for one in dataset_config(silo).columns]
    for bank in BANKS:
        body = {"name": "adult", "title": "Adult", "rows": "10k-50k", "commitment": "ab" * 32,
                "columns": columns}  # fmt: skip
        made = await stage.services.datasets.publish(bank, body)
        stage.ids[f"{bank}.adult"] = made.id
        await stage.services.datasets.grant(
            stage.owner(bank), made.id, project=stage.ids["project"],
            columns=granted.get(bank, [one["name"] for one in columns]),
            purposes=["credit-scoring"], expires=stage.now[0] + YEAR,
        )  # fmt: skip


def test_a_model_of_what_all_declare() -> None:
    made = fill("joint-risk-model", wishes())
    found = steps(made.request)
    assert list(found) == ["prepare", "train", "test"]
    assert found["prepare"]["columns"] == ["age", "Job Title"]
    assert found["train"]["features"]["label"] == {"column": "defaulted", "positive": "yes"}
    assert found["train"]["features"]["recipe"] == {"step": "prepare"}
    assert found["test"]["models"] == [{"step": "train"}]
    assert made.request["datasets"] == ["dst_bank-a", "dst_bank-b"]
    assert "split" not in found["train"]["plan"]


def test_keys_that_all_declare_hold_rows_out_and_tell_the_overlap() -> None:
    made = fill("joint-risk-model", wishes(*(dataset(one, key="id") for one in BANKS[:2])))
    found = steps(made.request)
    assert list(found) == ["overlap", "prepare", "train", "test"]
    assert found["overlap"]["columns"]["bank-b"] == {"key": ["id"]}
    assert found["overlap"]["learns"] == "size"
    assert found["train"]["plan"]["split"] == {"by": "key"}
    assert found["test"]["held_out"] == {"share": 0.2}
    three = fill("joint-risk-model", wishes(*(dataset(one, key="id") for one in BANKS)))
    assert "overlap" not in steps(three.request)


@pytest.mark.parametrize(
    ("asked", "label", "family"),
    [
        ({"label": "age"}, {"column": "age", "bounds": [0, 100]}, "linear"),
        ({"label": "Job Title", "positive": "clerk"},
         {"column": "Job Title", "positive": "clerk"}, "logistic_regression"),
    ],
)  # fmt: skip
def test_a_label_of_ones_own(asked: dict[str, str], label: Any, family: str) -> None:
    found = steps(fill("joint-risk-model", wishes(**asked)).request)
    assert (found["train"]["features"]["label"], found["train"]["model"]) == (
        label, {"family": family},
    )  # fmt: skip
    assert asked["label"] not in found["prepare"]["columns"]


def test_only_what_all_declare_alike_is_used() -> None:
    other = (ColumnConfig("age", "text"), *COLUMNS[1:3], COLUMNS[3])
    made = fill("joint-risk-model", wishes(dataset("bank-a"), dataset("bank-b", columns=other)))
    assert steps(made.request)["prepare"]["columns"] == ["Job Title"]
    wider = (replace(COLUMNS[0], bounds=(-5.0, 50.0)), *COLUMNS[1:])
    both = wishes(dataset("bank-a"), dataset("bank-b", columns=wider), label="age")
    found = steps(fill("joint-risk-model", both).request)
    assert found["train"]["features"]["label"]["bounds"] == [-5.0, 100]


def test_a_survey_is_noised_where_all_keep_budgets_for_one_unit() -> None:
    exact = fill("data-quality", wishes())
    assert exact.request["kind"] == "mpc"
    assert "program" in exact.comments
    unit = PublicPrivacy("record", 1)
    noised = fill("data-quality", wishes(*(dataset(one, privacy=unit) for one in BANKS)))
    assert noised.request["kind"] == "statistics"
    names = [one["name"] for one in noised.request["queries"]]
    assert names == ["rows", "known-age", "mean-age", "spread-age", "values-job-title"]
    mixed = wishes(dataset("a", privacy=unit), dataset("b", privacy=PublicPrivacy("person", 3)))
    assert fill("data-quality", mixed).request["kind"] == "mpc"


def test_an_overlap_needs_a_key_of_each() -> None:
    with pytest.raises(SecureFlowError) as caught:
        fill("market-overlap", wishes(dataset("bank-a", key="id"), dataset("bank-b")))
    assert caught.value.details == {"field": "keys", "owners": ["bank-b"]}
    assert str(caught.value.message).endswith("of: bank-b/customers.")
    with pytest.raises(SecureFlowError, match="two organisations") as caught:
        fill("market-overlap", wishes(dataset("bank-a", key="id")))
    assert caught.value.details["field"] == "datasets"
    made = fill("market-overlap", wishes(keys={"bank-a": "id", "bank-b": "id"}))
    assert (made.request["kind"], made.request["learns"]) == ("psi", "size")
    assert "id" not in made.request
    unit = PublicPrivacy("record", 1)
    described = fill("market-overlap", wishes(
        *(dataset(one, key="id", privacy=unit) for one in BANKS[:2])))  # fmt: skip
    found = steps(described.request)
    assert (found["overlap"]["learns"], found["survey"]["rows"]) == ("all", {"step": "overlap"})
    assert 10 <= found["overlap"]["minimum"] < found["overlap"]["most_rows"]
    with pytest.raises(SecureFlowError) as caught:
        fill("market-overlap", wishes(keys={"bank-a": "idd", "bank-b": "id"}))
    assert caught.value.code == "unknown_column"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"label": "agee"}, "unknown_column"),
        ({"label": "Job Title", "positive": "king"}, "unknown_category"),
    ],
)
def test_a_wish_that_cannot_be_met_is_named(asked: dict[str, str], code: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        fill("model-comparison", wishes(**asked))
    assert caught.value.code == code
    assert caught.value.details["field"] in {"label", "positive"}


def test_nothing_in_common_is_said() -> None:
    alone = (ColumnConfig("x", "text"),)
    with pytest.raises(SecureFlowError, match="share no column"):
        fill("data-quality", wishes(dataset("a"), dataset("b", columns=alone)))
    with pytest.raises(SecureFlowError, match="nothing says what to predict"):
        fill("joint-risk-model", wishes(dataset("a"), dataset("b", columns=alone)))


def test_every_word_of_a_template_has_its_chinese() -> None:
    keyed = wishes(*(dataset(one, key="id") for one in BANKS[:2]))
    said = {text for one in TEMPLATES.values() for text in (one.title, one.sentence)}
    for key in TEMPLATES:
        for asked in (keyed, wishes(*(dataset(one, key="id", privacy=PublicPrivacy("record", 1))
                                      for one in BANKS[:2]))):  # fmt: skip
            made = fill(key, asked)
            said |= set(made.comments.values())
            places = {"", *made.request, *(f"steps.{one['id']}" for one in
                                           made.request.get("steps", ()))}  # fmt: skip
            assert set(made.comments) <= places
    assert said - set(catalogue()) == set()


@pytest.mark.parametrize("key", sorted(TEMPLATES))
@pytest.mark.parametrize("budgets", [False, True])
async def test_a_filled_template_can_be_submitted(stage: Stage, key: str, budgets: bool) -> None:
    """Each template over the stage's datasets has no problem in the check of drafts."""
    if budgets:
        for bank in BANKS:
            await publish(stage, bank)
    banks = BANKS[:2] if key == "market-overlap" else BANKS
    keys = dict.fromkeys(banks, "job") if key == "market-overlap" else {}
    made = await stage.services.job_templates.fill(
        stage.scientist("bank-a"), key, stage.ids["project"],
        [stage.ids[f"{bank}.dataset"] for bank in banks], keys=keys,
    )  # fmt: skip
    found = await stage.services.drafts.check(stage.scientist("bank-a"), made.request)
    assert [(one.field, one.message) for one in found.problems] == []
    assert found.preview is not None
    assert found.preview.parties == banks


async def test_nothing_is_asked_for_that_an_owner_has_not_granted(
    stage: Stage, tmp_path: Path
) -> None:
    """What is filled in can be submitted: bank-b grants two columns of what all declare."""
    await publish_adult(stage, tmp_path, **{"bank-b": ["age", "workclass", "income"]})
    filled = await stage.services.job_templates.fill(
        stage.scientist("bank-a"), "joint-risk-model", stage.ids["project"],
        [stage.ids[f"{bank}.adult"] for bank in BANKS],
    )  # fmt: skip
    assert steps(filled.request)["prepare"]["columns"] == ["age", "workclass"]
    found = await stage.services.drafts.check(stage.scientist("bank-a"), filled.request)
    assert [(one.field, one.message) for one in found.problems] == []


async def test_a_grant_that_has_ended_leaves_the_reason_to_the_check(
    stage: Stage, tmp_path: Path
) -> None:
    await publish_adult(stage, tmp_path, **{"bank-b": ["age", "income"]})
    stage.now[0] += 2 * YEAR
    filled = await stage.services.job_templates.fill(
        stage.scientist("bank-a"), "joint-risk-model", stage.ids["project"],
        [stage.ids[f"{bank}.adult"] for bank in BANKS],
    )  # fmt: skip
    found = await stage.services.drafts.check(stage.scientist("bank-a"), filled.request)
    assert {one.code for one in found.problems} == {"column_not_granted"}


async def test_who_sees_no_work_of_a_project_learns_no_columns_by_a_template(stage: Stage) -> None:
    project, datasets = stage.ids["project"], [stage.ids[f"{one}.dataset"] for one in BANKS]
    await stage.services.project_states.change(stage.scientist("bank-a"), project, restricted=True)
    filling = stage.services.job_templates.fill
    assert await filling(stage.scientist("bank-a"), "data-quality", project, datasets)
    for other in (stage.owner("bank-a"), stage.scientist("bank-b")):
        with pytest.raises(SecureFlowError) as caught:
            await filling(other, "data-quality", project, datasets)
        assert caught.value.code == "not_found"


async def test_templates_of_other_peoples_data_are_not_filled(stage: Stage) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.job_templates.fill(
            stage.scientist("outsider"), "data-quality", stage.ids["project"],
            [stage.ids["bank-a.dataset"]],
        )  # fmt: skip
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("key", sorted({*TEMPLATES} - {"market-overlap"}))
async def test_the_demos_datasets_fill_a_template(stage: Stage, key: str, tmp_path: Path) -> None:
    """The banks of `secureflow demo` declare these columns; they have no key to match rows by."""
    await publish_adult(stage, tmp_path)
    filled = await stage.services.job_templates.fill(
        stage.scientist("bank-a"), key, stage.ids["project"],
        [stage.ids[f"{bank}.adult"] for bank in BANKS],
    )  # fmt: skip
    found = await stage.services.drafts.check(stage.scientist("bank-a"), filled.request)
    assert [(one.field, one.message) for one in found.problems] == []
    if key == "joint-risk-model":
        label = steps(filled.request)["train"]["features"]["label"]
        assert label == {"column": "income", "positive": ">50K"}
