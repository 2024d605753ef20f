"""An evaluation as the centre drafts it: what the models compute with is filled in, never asked."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused

MOMENTS = [2.0, 2.0, 80.0, 3400.0]
SCORES = {"edges": [-1.0, 0.5], "counts": [10.0, 20.0, 30.0]}


@pytest.fixture(autouse=True)
async def scaled(stage: Stage) -> None:
    """The model's card has the moments of its only number."""
    await change_model(stage, card={"moments": MOMENTS})


async def change_model(stage: Stage, **changes: Any) -> None:
    """Put another model of the same job in its place."""
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
    stage.ids["model"] = await stage.add_model(job, **changes)


def wanted(stage: Stage, **parts: Any) -> Wanted:
    parts = {"models": [stage.ids["model"]], **parts}
    return stage.wanted(parts=parts, kind="evaluation", name="figures")


async def drafted(stage: Stage, **parts: Any) -> tuple[EvaluationSpec, Any]:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage, **parts))
    return parse(EvaluationSpec, told.spec), told


async def refuse(stage: Stage, code: str, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await drafted(stage, **parts)
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    return caught.value


async def test_the_spec_holds_what_the_model_computes_with(stage: Stage) -> None:
    spec, told = await drafted(stage, per_party=True)
    (one,) = spec.models
    async with stage.database.begin() as work:
        model = await work.models.get(stage.ids["model"])
    assert (one.job, one.digest, one.moments) == (model.job, model.digest, tuple(MOMENTS))
    assert one.contributors == BANKS
    assert (one.bytes, one.form) == (16, "binary")
    assert spec.column_names == ("age", "job", "income")
    assert spec.parties == BANKS
    assert told.digest == spec_digest(spec)
    assert told.details["rounds"] == 1
    assert any("trained on rows of bank-a, bank-b, bank-c" in note for note in told.notes)
    assert any("Figures of each party are released" in note for note in told.notes)


async def test_a_submitted_evaluation_is_a_job_of_its_kind(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted(stage))
    assert (job.kind, job.state) == ("evaluation", JobState.PROPOSED)


async def test_models_of_another_project_do_not_exist_for_it(stage: Stage) -> None:
    await refuse(stage, "not_found", models=[stage.ids["outsider.model"]])
    await refuse(stage, "not_found", models=["mdl_00000000000000000000"])
    await refuse(stage, "invalid_spec", models=[])


async def test_a_model_without_its_moments_or_its_parameters_is_refused(stage: Stage) -> None:
    await change_model(stage, card={})
    assert "moments" in (await refuse(stage, "contradictory_spec")).message
    await change_model(stage, card={"moments": MOMENTS}, artifact="ef" * 32)
    assert "released" in (await refuse(stage, "contradictory_spec")).hint


async def test_columns_that_are_not_granted_are_refused_by_name(stage: Stage) -> None:
    datasets = stage.services.datasets
    await datasets.revoke(stage.owner("bank-b"), stage.ids["bank-b.grant"])
    error = await refuse(stage, "column_not_granted")
    assert error.details["party"] == "bank-b"


async def test_a_baseline_is_an_evaluation_of_the_same_model(stage: Stage) -> None:
    spec, _ = await drafted(stage)
    done = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted(stage))
    await refuse(stage, "no_evaluation", baseline=done.id)
    measured = {"model": spec.models[0].digest, "distribution": SCORES}
    await stage.finish(done, report={"evaluation": {"models": [measured]}})
    spec, _ = await drafted(stage, baseline=done.id)
    assert spec.baseline is not None
    assert (spec.baseline[0].job, spec.baseline[0].counts) == (done.id, (10.0, 20.0, 30.0))
    await refuse(stage, "not_found", baseline=stage.ids["outsider.job"])
    await refuse(stage, "no_evaluation", baseline=stage.ids["job"])


async def test_nobody_from_outside_evaluates_a_project(stage: Stage) -> None:
    with refused("not_found"):
        await stage.services.jobs.submit(stage.scientist("outsider"), wanted(stage))


async def test_rows_are_held_out_only_where_owners_declare_a_key(stage: Stage) -> None:
    error = await refuse(stage, "key_undeclared", held_out={"share": 0.2})
    assert error.details["party"] == "bank-a"
