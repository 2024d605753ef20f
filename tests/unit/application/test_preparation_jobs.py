"""A preparation as the centre drafts it: what owners declared is filled in, and labels are theirs.

A label that no owner's column can be would not fail: all rows would be of the other class.
"""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.kit.errors import SecureFlowError
from tests.stage import Stage
from tests.unit.application.test_statistics_jobs import RECORD, publish

STEPS = [{"step": "woe", "columns": ["job"]}]
LABEL = {"column": "income", "positive": "high"}
NOISE = {"delta": 1e-6, "epsilon": 1.0}


async def drafted(stage: Stage, **parts: Any) -> Any:
    parts = {"columns": ["age", "job"], "steps": STEPS, "label": LABEL, **parts}
    wanted = stage.wanted(parts=parts, kind="preparation", name="inputs")
    return await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)


async def refused(stage: Stage, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await drafted(stage, **parts)
    assert caught.value.hint
    return caught.value


async def test_bounds_and_categories_are_the_widest_of_all_owners(stage: Stage) -> None:
    await publish(stage, "bank-b", None, age={"bounds": [-1, 100]}, job={"categories": ["maid"]})
    told = await drafted(stage)
    assert told.spec["columns"] == [
        {"column": "age", "type": "number", "bounds": [-1.0, 120.0], "categories": []},
        {"column": "job", "type": "category", "bounds": None,
         "categories": ["clerk", "farmer", "maid"]},
    ]  # fmt: skip
    assert "bank-b declares age within [-1, 100]; the job uses [-1, 120]." in told.notes


async def test_a_label_is_one_that_every_owner_declares(stage: Stage) -> None:
    error = await refused(stage, label={"column": "income", "positive": "hihg"})
    assert (error.code, error.details) == ("unknown_category",
                                           {"party": "bank-a", "column": "income"})  # fmt: skip
    assert error.hint.endswith("; bank-a declares: high, low.")  # the likest first
    error = await refused(stage, label={"column": "incme", "positive": "high"})
    assert (error.code, error.details["column"]) == ("unknown_column", "incme")
    assert error.hint.startswith("income may be meant.")
    error = await refused(stage, label={"column": "zzz", "positive": "high"})
    assert "bank-a declares: age, " in error.hint
    error = await refused(stage, columns=["job"], label={"column": "age", "positive": "old"})
    assert (error.code, error.details["column"]) == ("malformed_label", "age")
    await publish(stage, "bank-c", None, income={"categories": ["low", "middling"]})
    error = await refused(stage)
    assert (error.code, error.details["party"]) == ("unknown_category", "bank-c")


async def test_owners_with_a_budget_are_told_of_where_it_is_not_used(stage: Stage) -> None:
    await publish(stage, "bank-b", RECORD)
    notes = [str(note) for note in (await drafted(stage)).notes]
    assert any(note.startswith("bank-b keeps a privacy budget for customers") for note in notes)


async def test_a_private_one_is_priced_for_all_its_releases(stage: Stage) -> None:
    for bank in ("bank-a", "bank-b", "bank-c"):
        await publish(stage, bank, RECORD)
    steps = [*STEPS, {"step": "standardise", "columns": ["age"]}]
    told = await drafted(stage, steps=steps, privacy=NOISE)
    assert told.details["privacy"]["releases"] == 2
    assert told.details["privacy"]["epsilon"]["rdp-cks20"] <= 1.0
    error = await refused(stage, steps=steps, privacy={**NOISE, "noise_multiplier": 0.5})
    assert (error.code, error.details["field"]) == (
        "contradictory_spec",
        "privacy.noise_multiplier",
    )


async def test_a_training_need_not_list_what_its_recipe_makes(stage: Stage) -> None:
    """Its job is looked for: everything before that is as it must be."""
    recipe = {
        "job": "job_0123456789",
        "spec": "a" * 64,
        "columns": [{"column": "age", "type": "number", "bounds": [0, 120]}],
        "steps": [{"step": "standardise", "columns": ["age"]}],
        "fits": [{"columns": {"age": {"mean": 40, "std": 20}}}],
        "outputs": [{"name": "age", "type": "number"}],
    }
    wanted = stage.wanted(parts={"features": {"recipe": recipe, "label": LABEL}})
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    assert caught.value.code == "not_found"
    assert "job_0123456789" in caught.value.message
