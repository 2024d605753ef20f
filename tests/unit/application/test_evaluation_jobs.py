"""An evaluation as the centre drafts it: what the models compute with is filled in, never asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.scoredmodels import scored_model
from secureflow.domain.ids import new_id
from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.heldout import HeldOut
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused

MOMENTS = [2.0, 2.0, 80.0, 3400.0]
LONGEST = 200
"""Most characters of a job's name."""
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
    assert one.called == f"{model.name}@{model.version} ({model.digest})"
    assert spec.column_names == ("age", "job", "income")
    assert spec.parties == BANKS
    assert told.digest == spec_digest(spec)
    assert told.details["rounds"] == 1
    assert any("learned from rows of bank-a, bank-b, bank-c" in note for note in told.notes)
    assert any("Figures of each party are released" in note for note in told.notes)


async def test_a_model_is_called_after_its_job_however_long_that_name_is(stage: Stage) -> None:
    name = "n" * LONGEST
    await change_model(stage, name=name, version=2**31, card={"moments": MOMENTS})
    spec, _ = await drafted(stage)
    assert spec.models[0].name == f"{name}@{2**31}"


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


async def learned(stage: Stage, held_out: Any = None, **changes: Any) -> tuple[str, ...]:
    """Whose rows the report would call seen, if the model's own job had other parts."""
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
        await work.jobs.save(replace(job, spec={**job.spec, **changes}))
        model = await scored_model(work, stage.ids["project"], stage.ids["model"])
    return model.seen(BANKS, parse(HeldOut, held_out or {"share": 0.2}, "spec"))


async def earlier(stage: Stage, **changes: Any) -> str:
    """Add a job whose rows came before."""
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
        made = replace(job, id=new_id("job"), spec={**job.spec, **changes})
        await work.jobs.add(made)
        await work.commit()
    return made.id


SPLIT = {"validation": 0.2, "split": {"by": "key"}}


async def test_what_a_model_held_out_it_has_not_seen(stage: Stage) -> None:
    assert await learned(stage, plan=SPLIT) == ()
    assert await learned(stage, {"share": 0.3}, plan=SPLIT) == BANKS
    assert await learned(stage, plan={"validation": 0.2}) == BANKS


async def test_a_model_has_seen_what_it_went_on_from(stage: Stage) -> None:
    fold = {"split": {"by": "key", "folds": 5, "fold": 0}}
    for before, seen in (({"validation": 0.2}, BANKS), (SPLIT, ()), (fold, ()),
                         ({**SPLIT, "validation": 0.1}, BANKS)):  # fmt: skip
        job = await earlier(stage, plan=before)
        start = {"job": job, "round": 1, "model": "ab" * 32}
        assert await learned(stage, plan=SPLIT, resume=start) == seen, before
    gone = {"job": "job_00000000000000000000", "round": 1, "model": "ab" * 32}
    assert await learned(stage, plan=SPLIT, resume=gone) == BANKS


async def test_parties_of_an_earlier_job_are_named_too(stage: Stage) -> None:
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
    before = await earlier(stage, plan={"validation": 0.2})
    start = {"job": before, "round": 1, "model": "ab" * 32}
    assert await learned(stage, roster=job.spec["roster"][:2], resume=start) == BANKS


async def test_nobody_can_tell_what_uploaded_weights_have_seen(stage: Stage) -> None:
    weights = {"model": "ab" * 32, "layout": "cd" * 32}
    assert await learned(stage, plan=SPLIT, initial=weights) == BANKS


async def test_a_recipe_that_learned_from_labels_has_seen_all_rows(stage: Stage) -> None:
    label = {"column": "income", "positive": "high"}
    for with_label, seen in (({}, ()), ({"label": label}, BANKS)):
        recipe = {
            "job": stage.ids["job"], "spec": "ab" * 32, "rows": 30.0, **with_label,
            "columns": [{"column": "age", "type": "number", "bounds": [0, 100]}],
            "steps": [{"step": "clip", "columns": ["age"], "low": 0, "high": 50}],
            "fits": [{}], "outputs": [{"name": "age", "type": "number"}],
        }  # fmt: skip
        features = {
            "label": label, "recipe": recipe,
            "numeric": [{"column": "age", "bounds": [0, 100], "scale": "none"}],
        }  # fmt: skip
        assert await learned(stage, plan=SPLIT, features=features) == seen


async def test_a_recipe_has_not_seen_the_rows_that_its_fit_left_out(stage: Stage) -> None:
    label = {"column": "income", "positive": "high"}
    columns = [{"column": "age", "type": "number", "bounds": [0, 100]}]
    steps = [{"step": "width_bins", "columns": ["age"], "bins": 2},
             {"step": "woe", "columns": ["age"]}]  # fmt: skip
    async with stage.database.begin() as work:
        head = (await work.jobs.get(stage.ids["job"])).spec
    for held_out, seen in (({"share": 0.2}, ()), ({"share": 0.1}, BANKS), (None, BANKS)):
        fit = {
            **{name: head[name] for name in ("project", "name", "purpose", "submitter", "roster")},
            "columns": columns, "steps": steps, "label": label, "kind": "preparation",
            **({"held_out": held_out} if held_out else {}),
        }  # fmt: skip
        job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
        await stage.finish(job, kind="preparation", spec=fit)
        recipe = {
            "job": job.id, "spec": "ab" * 32, "rows": 30.0, "label": label, "columns": columns,
            "steps": [{"step": "clip", "columns": ["age"], "low": 0, "high": 50}],
            "fits": [{}], "outputs": [{"name": "age", "type": "number"}],
        }  # fmt: skip
        features = {
            "label": label, "recipe": recipe,
            "numeric": [{"column": "age", "bounds": [0, 100], "scale": "none"}],
        }  # fmt: skip
        assert await learned(stage, plan=SPLIT, features=features) == seen, held_out
