"""Drafts: all that is wrong with one is told, each with its field, and nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.jobs.drafting import Checked
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, FEATURES, Stage
from tests.unit.application.test_statistics_jobs import publish


def draft_of(stage: Stage, **changes: Any) -> dict[str, Any]:
    made = {
        "kind": "training", "project": stage.ids["project"], "name": "income model",
        "purpose": "credit-scoring", "datasets": [stage.ids[f"{one}.dataset"] for one in BANKS],
        "features": FEATURES, **changes,
    }  # fmt: skip
    return {name: value for name, value in made.items() if value != "gone"}


async def check(stage: Stage, **changes: Any) -> Checked:
    return await stage.services.drafts.check(stage.scientist("bank-a"), draft_of(stage, **changes))


def fields(checked: Checked) -> list[str]:
    return [one.field for one in checked.problems]


async def test_a_draft_without_problems_is_what_a_dry_run_tells(stage: Stage) -> None:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), stage.wanted())
    found = await check(stage)
    assert found.problems == ()
    assert (found.digest, found.spec, found.preview) == (told.digest, told.spec, told.preview)
    assert found.preview is not None
    assert found.preview.parties == BANKS
    assert found.preview.protection == "sealed"
    assert found.preview.epsilon is None
    parameters = told.details["parameters"]
    assert found.preview.estimate == {
        "seconds": None,
        "bytes": 3 * 20 * 2 * 4 * int(str(parameters)),
    }
    assert "owner" in {row["who"] for row in found.preview.learns}


async def test_every_wrong_field_is_told_at_once(stage: Stage) -> None:
    found = await check(
        stage, name="gone", limits={"patience_seconds": -1}, plan={"rounds": 0, "seed": "x"},
        model={"family": "mlpp"},
    )  # fmt: skip
    assert {"name", "limits.patience_seconds", "plan.rounds", "plan.seed"} < set(fields(found))
    assert "model" in " ".join(fields(found))
    assert (found.digest, found.spec, found.preview) == ("", None, None)


async def test_wrong_datasets_are_told_though_other_fields_are_missing(stage: Stage) -> None:
    datasets = [stage.ids["bank-a.dataset"], "dst_gone"]
    found = await check(stage, datasets=datasets, plan={"rounds": 0})
    assert {"plan.rounds", "datasets.1"} == set(fields(found))
    assert found.problems[-1].code == "not_found"


async def test_a_member_on_which_no_other_depends_hides_nothing(stage: Stage) -> None:
    found = await check(stage, name="", limits={"clip_norm": -1})
    assert {"name", "limits.clip_norm"} == set(fields(found))
    assert found.spec is not None
    assert found.preview is not None
    assert found.digest == ""  # the digest of another job than the one that is drawn


async def test_a_contradiction_is_a_problem_with_its_field(stage: Stage) -> None:
    features = {**FEATURES, "numeric": [{"column": "height", "bounds": [0, 1]}]}
    (one,) = (await check(stage, features=features)).problems
    assert (one.code, one.column, one.party) == ("unknown_column", "height", "bank-a")
    assert one.hint
    (two,) = (await check(stage, min_contributors=9)).problems
    assert (two.field, two.code) == ("min_contributors", "contradictory_spec")


async def test_what_keeps_a_job_from_running_does_not_hide_what_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(needed: int) -> None:
        raise SecureFlowError("storage_full", f"There is no room for {needed} bytes.")

    monkeypatch.setattr(stage.services.jobs, "_room", full)
    found = await check(stage)
    assert [one.code for one in found.problems] == ["storage_full"]
    assert found.preview is not None
    assert found.digest
    with pytest.raises(SecureFlowError, match="no room"):
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), stage.wanted())


async def test_epsilon_is_told_and_whose_budget_nobody_here_knows(stage: Stage) -> None:
    privacy = {
        "epsilon": 2.0,
        "delta": 1e-6,
        "noise": "enclave",
        "rows": 3000,
        "noise_multiplier": 20.0,
    }
    features = {**FEATURES, "numeric": [{"column": "age", "bounds": [0, 120], "scale": "bounds"}]}
    found = await check(stage, privacy=privacy, features=features, plan={"validation": 0})
    assert found.preview is not None, found.problems
    cost = found.preview.epsilon
    assert cost is not None
    assert cost["left"] == dict.fromkeys(BANKS)
    assert 0 < float(str(cost["job"])) < 4
    assert (cost["delta"], cost["unit"]) == (1e-6, "record")
    dear = privacy | {"noise_multiplier": 2.0}
    found = await check(stage, privacy=dear, features=features, plan={"validation": 0})
    assert fields(found) == ["privacy.noise_multiplier"]
    assert found.digest == ""
    assert found.preview is not None
    assert found.preview.parties == BANKS


@pytest.mark.parametrize("kind", [None, "paint", 7])
async def test_an_unknown_kind_is_a_problem(stage: Stage, kind: Any) -> None:
    (one,) = (await check(stage, kind=kind)).problems
    assert one.field == "kind"
    assert "training" in one.hint


async def test_who_may_not_submit_is_refused(stage: Stage) -> None:
    for changes in ({}, {"plan": {"rounds": 0}, "datasets": ["dst_gone"]}):
        draft = draft_of(stage, **changes)
        with pytest.raises(SecureFlowError) as caught:
            await stage.services.drafts.check(stage.scientist("outsider"), draft)
        assert caught.value.code == "not_found"
    auditor = stage.owner("bank-a")
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.drafts.check(auditor, draft_of(stage, plan={"rounds": 0}))
    assert caught.value.code == "forbidden"


async def test_nothing_is_made_of_a_draft(stage: Stage) -> None:
    before = await stage.services.jobs.list(stage.scientist("bank-a"))
    await check(stage)
    assert await stage.services.jobs.list(stage.scientist("bank-a")) == before


async def test_a_problem_of_a_pipeline_is_in_its_step(stage: Stage) -> None:
    prepare = {"id": "prepare", "kind": "preparation", "columns": ["age"],
               "steps": [{"step": "standardise", "columns": ["age"]}]}  # fmt: skip
    train = {"id": "train", "kind": "training", "plan": {"rounds": 0},
             "features": {"label": FEATURES["label"], "recipe": {"step": "prepare"}}}  # fmt: skip
    base = {"kind": "pipeline", "features": "gone"}
    found = await check(stage, **base, steps=[prepare, train])
    assert fields(found) == ["steps.train.plan.rounds"]
    unknown = prepare | {"columns": ["height"]}
    (one,) = (await check(stage, **base, steps=[unknown])).problems
    assert (one.field.startswith("steps.prepare"), one.column) == (True, "height")
    found = await check(stage, **base, steps=[prepare, train | {"plan": {"rounds": 2}}])
    assert found.problems == ()
    assert found.preview is not None
    assert found.preview.protection == "secagg, sealed"


async def test_the_cost_of_each_step_is_told(stage: Stage) -> None:
    for bank in BANKS:
        await publish(stage, bank)
    queries = [{"name": "rows", "measure": "count"}]
    means = [{"name": "age", "measure": "mean", "columns": ["age"]}]
    steps = [
        {"id": "first", "kind": "statistics", "queries": queries,
         "privacy": {"epsilon": 1.0, "delta": 1e-6}},
        {"id": "second", "kind": "mpc", "program": {"name": "joint-sums", "queries": means}},
    ]  # fmt: skip
    found = await check(stage, kind="pipeline", features="gone", steps=steps)
    assert found.preview is not None, found.problems
    assert found.preview.epsilon is not None
    told = found.preview.epsilon["steps"]
    assert isinstance(told, dict)
    assert set(told) == {"first", "second"}
    assert told["second"] is None
    assert 0.5 < told["first"] <= 1.0


async def test_a_short_draft_asks_the_database_for_few_datasets(stage: Stage) -> None:
    """150 kB of names cost a second of the centre, and were answered with 9 MB."""
    found = await check(stage, kind="nonsense", datasets=["dst_gone"] * 10_000)
    assert fields(found)[:2] == ["kind", "datasets.0"]
    assert len(found.problems) == 1 + 256
