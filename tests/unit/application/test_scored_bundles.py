"""A model of a bundle, evaluated and applied: the job names its code, as its training did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from tests.stage import Stage
from tests.unit.application.test_bundles import CODE, upload

ENVIRONMENT = "cd" * 32


@pytest.fixture(autouse=True)
async def trained(stage: Stage) -> None:
    """A job that brought code has released a model."""
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
        ref = {"digest": CODE.digest, "entry": "model:Model", "environment": ENVIRONMENT}
        weights = [{"name": "w", "shape": [4], "dtype": "float32"}]
        model = {"family": "bundle", "bundle": ref, "weights": weights, "settings": {"k": 2}}
        plan = {**job.spec["plan"], "seed": 11}
        job = replace(job, id="job_code000000", spec={**job.spec, "model": model, "plan": plan},
                      state=JobState.SUCCEEDED)  # fmt: skip
        await work.jobs.add(job)
        await work.commit()
    moments = {"moments": [2.0, 2.0, 80.0, 3400.0]}
    stage.ids["model"] = await stage.add_model(job, card=moments, family="bundle")


def asked(stage: Stage, kind: str, **parts: Any) -> Any:
    named = {"model": stage.ids["model"]} if kind == "prediction" else {
        "models": [stage.ids["model"]]
    }  # fmt: skip
    return stage.wanted(parts={**named, **parts}, kind=kind, name="figures")


@pytest.mark.parametrize("kind", ["evaluation", "prediction"])
async def test_the_spec_names_the_code_and_the_seed_of_its_training(
    stage: Stage, kind: str
) -> None:
    jobs, scientist = stage.services.jobs, stage.scientist("bank-a")
    with pytest.raises(SecureFlowError, match="no bundle") as caught:
        await jobs.submit(scientist, asked(stage, kind))
    assert "secureflow bundle push" in caught.value.hint
    stored = await upload(stage)
    told = await jobs.dry_run(scientist, asked(stage, kind))
    model = told.spec["model"] if kind == "prediction" else told.spec["models"][0]
    assert model["seed"] == 11
    assert model["model"]["bundle"]["digest"] == CODE.digest
    assert model["model"]["settings"] == {"k": 2}
    assert any("It brings code" in note for note in told.notes)
    assert stored.expires is not None
    job = await jobs.submit(scientist, asked(stage, kind))
    assert dump(job)["spec"] == told.spec
    kept = await stage.services.bundles.get(scientist, CODE.digest)
    assert kept.expires is None  # while the job is not over
    assert kept.jobs == (job.id,)
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.bundles.remove(scientist, CODE.digest)
    assert caught.value.code == "upload_in_use"


async def test_noise_for_what_code_computes_is_refused_at_once(stage: Stage) -> None:
    await upload(stage)
    privacy = {"delta": 1e-6, "epsilon": 1.0}
    with pytest.raises(SecureFlowError, match="one row moves its sums without bound") as caught:
        await stage.services.jobs.dry_run(
            stage.scientist("bank-a"), asked(stage, "evaluation", privacy=privacy)
        )
    assert caught.value.details["field"] == "privacy"


async def test_it_is_evaluated_alone(stage: Stage) -> None:
    await upload(stage)
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
    moments = {"moments": [2.0, 2.0, 80.0, 3400.0]}
    other = await stage.add_model(job, b"\1\0\x80?" * 4, card=moments)
    models = [stage.ids["model"], other]
    with pytest.raises(SecureFlowError, match="evaluated alone"):
        await stage.services.jobs.dry_run(
            stage.scientist("bank-a"), asked(stage, "evaluation", models=models)
        )
