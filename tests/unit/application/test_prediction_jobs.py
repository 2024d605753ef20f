"""A prediction as the centre drafts it: the model is filled in, the label is not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused

MOMENTS = [2.0, 2.0, 80.0, 3400.0]


@pytest.fixture(autouse=True)
async def scaled(stage: Stage) -> None:
    """The model's card has the moments of its only number."""
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
    stage.ids["model"] = await stage.add_model(job, card={"moments": MOMENTS})


def wanted(stage: Stage, **parts: Any) -> Wanted:
    parts = {"model": stage.ids["model"], **parts}
    return stage.wanted(parts=parts, kind="prediction", name="scores")


async def drafted(stage: Stage, **parts: Any) -> tuple[PredictionSpec, Any]:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage, **parts))
    return parse(PredictionSpec, told.spec), told


async def refuse(stage: Stage, code: str, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await drafted(stage, **parts)
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    return caught.value


async def test_the_spec_holds_what_the_model_computes_with_and_no_price(stage: Stage) -> None:
    spec, told = await drafted(stage, columns=["job"])
    async with stage.database.begin() as work:
        model = await work.models.get(stage.ids["model"])
    assert (spec.model.job, spec.model.digest) == (model.job, model.digest)
    assert spec.model.moments == tuple(MOMENTS)
    assert spec.outputs == ("predicted", "probability")
    assert spec.column_names == ("age", "job")  # the label is not among them
    assert (spec.parties, spec.min_contributors, spec.privacy) == (BANKS, 3, None)
    assert told.digest == spec_digest(spec)
    assert told.details["result"] == ["predicted", "P(income=high)"]
    assert any("Scores stay with the owners" in note for note in told.notes)


async def test_a_submitted_prediction_is_a_job_of_its_kind(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted(stage))
    assert (job.kind, job.state) == ("prediction", JobState.PROPOSED)


async def test_a_model_of_another_project_does_not_exist_for_it(stage: Stage) -> None:
    await refuse(stage, "not_found", model=stage.ids["outsider.model"])
    await refuse(stage, "not_found", model="mdl_00000000000000000000")


async def test_columns_beside_are_declared_and_granted(stage: Stage) -> None:
    error = await refuse(stage, "unknown_column", columns=["iban"])
    assert (error.details["party"], error.details["column"]) == ("bank-a", "iban")
    await refuse(stage, "contradictory_spec", columns=["income"])
    await stage.services.datasets.revoke(stage.owner("bank-b"), stage.ids["bank-b.grant"])
    error = await refuse(stage, "column_not_granted")
    assert error.details["party"] == "bank-b"


async def test_all_parties_are_waited_for_unless_the_request_lets_some_be_missing(
    stage: Stage,
) -> None:
    error = await refuse(stage, "contradictory_spec", min_contributors=2)
    assert error.details["field"] == "min_contributors"
    with pytest.raises(SecureFlowError, match="at least two parties"):
        await stage.services.jobs.dry_run(
            stage.scientist("bank-a"),
            Wanted(*_head(stage), stage.wanted().datasets[:1], {"model": stage.ids["model"]},
                   "prediction"),
        )  # fmt: skip


def _head(stage: Stage) -> tuple[str, str, str]:
    asked = stage.wanted()
    return asked.project, "scores", asked.purpose


async def test_nobody_from_outside_predicts_a_projects_rows(stage: Stage) -> None:
    with refused("not_found"):
        await stage.services.jobs.submit(stage.scientist("outsider"), wanted(stage))
