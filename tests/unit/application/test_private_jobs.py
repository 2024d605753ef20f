"""A private job as the centre takes it: calibrated, priced, refused with its field, explained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from tests.stage import FEATURES, YEAR, Stage
from tests.unit.application.refusing import refused

NUMERIC = [{**column, "scale": "bounds"} for column in FEATURES["numeric"]]  # type: ignore[attr-defined]
PARTS: dict[str, Any] = {
    "features": {**FEATURES, "numeric": NUMERIC},
    "plan": {"rounds": 10, "validation": 0.0},
    "privacy": {"delta": 1e-6, "epsilon": 2.0, "rows": 20_000},
}


@pytest.mark.slow
async def test_a_dry_run_says_noise_and_epsilon(stage: Stage) -> None:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), stage.wanted(parts=PARTS))
    privacy = told.details["privacy"]
    assert privacy["noise_multiplier"] == told.spec["privacy"]["noise_multiplier"] > 1
    assert privacy["epsilon"]["pld"] <= privacy["epsilon"]["rdp-cks20"] <= 2.0
    assert not any("Without differential privacy" in note for note in told.notes)


async def test_a_submitted_job_keeps_its_price_and_is_explained(stage: Stage) -> None:
    scientist = stage.scientist("bank-a")
    job = await stage.services.jobs.submit(scientist, stage.wanted(parts=PARTS))
    assert job.spec["privacy"]["noise_multiplier"] > 1
    told = await stage.services.jobs.explain(scientist, job.id)
    assert (told["state"], told["rounds"], told["privacy"]["epsilon"]) == ("proposed", 0, 0.0)
    async with stage.database.begin() as work:
        for number in (1, 2):
            data = {"round": number, "parties": ["bank-a", "bank-b"]}
            await work.events.append(job.id, "round", stage.now[0], data)
        gone = [{"party": "bank-c", "round": 1, "stage": "train", "reason": "it is silent"}]
        await work.events.append(job.id, "dropouts", stage.now[0], {"dropouts": gone})
        await work.commit()
    told = await stage.services.jobs.explain(scientist, job.id)
    assert [row["round"] for row in told["epsilon_per_round"]] == [1, 2]
    assert 0 < told["privacy"]["epsilon"] < 2.0
    assert told["dropouts"] == gone
    assert told["attacks"][0]["why"] == "no enclave is admitted yet: its TEE decides"
    # What the agents saw when they admitted it is known before the job ends.
    progress = {**job.progress, "tee": "SIMULATED SGX"}
    await stage.finish(job, state=JobState.RUNNING, progress=progress)
    told = await stage.services.jobs.explain(scientist, job.id)
    assert (told["state"], told["tee"]) == ("running", "SIMULATED SGX")
    assert told["attacks"][0]["stopped"] == "no"


async def test_others_do_not_see_the_explanation(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted(parts=PARTS))
    stranger = replace(stage.scientist("bank-a"), organisation="stranger")
    with refused("not_found"):
        await stage.services.jobs.explain(stranger, job.id)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"privacy": {"delta": 1e-6, "rows": 20_000}}, "privacy.noise_multiplier"),
        pytest.param(
            {"privacy": {**PARTS["privacy"], "noise_multiplier": 0.5}},
            "privacy.noise_multiplier",
            marks=pytest.mark.full,
        ),
        ({"features": FEATURES}, "features.age.scale"),
        ({"plan": {"rounds": 10}}, "plan.validation"),
        ({"protection": "secagg"}, "privacy.noise"),
        ({"privacy": {**PARTS["privacy"], "noise": "shared"}}, "privacy.noise"),
    ],
)
async def test_a_contradiction_is_refused_at_submission(
    stage: Stage, parts: dict[str, Any], field: str
) -> None:
    wanted = stage.wanted(parts={**PARTS, **parts})
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(
    ("bounds", "code"),
    [([17, 65], "bounds_too_narrow"), ([0, 200_000], "bounds_too_wide"), ([-1, 130], "")],
)
async def test_a_private_jobs_bounds_are_held_to_the_owners(
    stage: Stage, bounds: list[float], code: str
) -> None:
    """Without noise the same bounds are taken, and the dry run tells where they differ."""
    numeric = [{**NUMERIC[0], "bounds": bounds}]
    parts = {**PARTS, "features": {**FEATURES, "numeric": numeric}}
    wanted = stage.wanted(parts=parts)
    if code:
        with refused(code):
            await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    else:
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    plain = stage.wanted(parts={**parts, "privacy": None})
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), plain)
    taken = f"bank-a declares age within [0, 120]; the job uses [{bounds[0]}, {bounds[1]}]."
    assert taken in told.notes


@pytest.mark.parametrize(
    ("protection", "warned"), [("sealed", True), ("secagg", False), ("sealed+secagg", False)]
)
async def test_only_updates_without_masks_are_as_safe_as_the_enclave(
    stage: Stage, protection: str, *, warned: bool
) -> None:
    wanted = stage.wanted(parts={"features": FEATURES, "protection": protection})
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    assert any("only as safe as the enclave" in note for note in told.notes) is warned


async def publish(stage: Stage, bank: str, unit: str) -> None:
    """Publish a bank's dataset again, as it is, with a budget per unit."""
    async with stage.database.begin() as work:
        dataset = await work.datasets.get(stage.ids[f"{bank}.dataset"])
    body = {
        **{name: getattr(dataset, name) for name in ("name", "title", "rows", "commitment")},
        "columns": [dump(column) for column in dataset.columns],
        "privacy": {"unit": unit},
    }
    again = await stage.services.datasets.publish(bank, body)
    assert again.id == dataset.id
    if again.reduced or again.ended:
        await stage.services.datasets.grant(
            stage.owner(bank), dataset.id, project=stage.ids["project"],
            columns=[column.name for column in dataset.columns],
            purposes=["credit-scoring"], expires=stage.now[0] + YEAR,
        )  # fmt: skip


async def test_a_dry_run_says_which_agents_will_refuse_for_their_budgets(stage: Stage) -> None:
    """Whether there is a budget, and in which unit, is public; its limit is not."""
    await publish(stage, "bank-b", "record")
    await publish(stage, "bank-c", "person")

    async def notes(parts: dict[str, Any]) -> list[str]:
        wanted = stage.wanted(parts=parts)
        told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
        return [note for note in told.notes if "its agent refuses" in note]

    first, second = await notes({"features": FEATURES})
    assert first.startswith("bank-b keeps a privacy budget for customers: unless its owner allows")
    assert second.startswith("bank-c keeps a privacy budget")
    undeclared, unit = await notes(PARTS)
    assert undeclared.startswith("bank-a has declared no privacy budget for customers")
    assert unit.startswith("bank-c keeps the privacy budget for customers per person")
    assert unit.endswith("whose noise hides one record.")
