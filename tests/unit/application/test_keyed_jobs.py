"""Jobs that hold rows out by key, as the centre takes them."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from tests.stage import FEATURES, Stage
from tests.unit.application.refusing import refused

SPLIT: dict[str, Any] = {"validation": 0.2, "split": {"by": "key"}}


async def declare(stage: Stage, bank: str, **more: Any) -> None:
    """Publish a bank's dataset again, with a key or a unit."""
    async with stage.database.begin() as work:
        dataset = await work.datasets.get(stage.ids[f"{bank}.dataset"])
    body = {
        **{name: getattr(dataset, name) for name in ("name", "title", "rows", "commitment")},
        "columns": [dump(column) for column in dataset.columns],
    }
    await stage.services.datasets.publish(bank, {**body, **more})


async def test_an_owner_without_a_key_is_named_before_anybody_is_asked(stage: Stage) -> None:
    wanted = stage.wanted(parts={"features": FEATURES, "plan": SPLIT})
    await declare(stage, "bank-a", key="customer_id")
    await declare(stage, "bank-c", privacy={"unit": "person"})  # whose column is the key
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    error = caught.value
    assert (error.code, error.details["party"]) == ("key_undeclared", "bank-b")
    assert "bank-b declares no key of" in str(error.message)
    assert "`key: COLUMN`" in str(error.hint)
    await declare(stage, "bank-b", key="account")
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    assert told.spec["plan"]["split"] == {"by": "key"}
    assert any("held out by the key that each owner declares" in note for note in told.notes)


async def test_a_key_is_described_and_columns_stay_granted(stage: Stage) -> None:
    await declare(stage, "bank-a", key="customer_id")
    scientist = stage.scientist("bank-a")
    dataset = await stage.services.datasets.get(scientist, stage.ids["bank-a.dataset"])
    assert dataset.key == "customer_id"
    assert dump(dataset)["key"] == "customer_id"
    other = await stage.services.datasets.get(scientist, stage.ids["bank-b.dataset"])
    assert "key" not in dump(other)
    wanted = stage.wanted(parts={"features": FEATURES})
    await stage.services.jobs.dry_run(scientist, wanted)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"validation": 0.123, "split": {"by": "key"}}, "plan.validation"),
        ({"split": {"by": "key", "folds": 4, "fold": 4}}, "plan.split.fold"),
        ({"keep": "best", "metric": "rmse"}, "plan.metric"),
    ],
)
async def test_a_contradiction_is_refused_at_submission(
    stage: Stage, plan: dict[str, Any], field: str
) -> None:
    wanted = stage.wanted(parts={"features": FEATURES, "plan": plan})
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)


async def test_a_metric_that_nobody_knows_is_refused(stage: Stage) -> None:
    plan = {"keep": "best", "metric": "gini"}
    wanted = stage.wanted(parts={"features": FEATURES, "plan": plan})
    with refused("invalid_spec"):
        await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)


async def test_a_figure_that_chose_is_said_to_flatter(stage: Stage) -> None:
    plan = {"keep": "best", "metric": "auc"}
    wanted = stage.wanted(parts={"features": FEATURES, "plan": plan})
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    assert any("The reported auc is the best of all rounds" in note for note in told.notes)
