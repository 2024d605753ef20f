from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.application.ports.courier import PartyStatus
from secureflow.application.running.recording import pending_leaves
from secureflow.application.running.scripts import Scripts
from secureflow.domain.jobs import JobState, JobSummary
from secureflow.domain.specs.base import SpecBase, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.users import Role
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.ledger.ends import SERVER
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.script import Record
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.doubles import MemoryUnit
from tests.stage import BANKS, FEATURES, YEAR, Stage
from tests.unit.application.refusing import refused


def features(**changes: Any) -> dict[str, Any]:
    return {"features": {**copy.deepcopy(FEATURES), **changes}}


async def test_the_server_fills_in_the_roster(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    assert [line["party"] for line in job.spec["roster"]] == list(BANKS)
    assert {line["key"] for line in job.spec["roster"]} == {
        stage.keys[bank].public for bank in BANKS
    }
    assert {line["dataset"] for line in job.spec["roster"]} == {"customers"}
    assert job.digest == spec_digest(parse(TrainingSpec, job.spec))
    assert job.state == JobState.PROPOSED
    assert stage.driver.claimed[-1] == job.id  # if this server dies now, another one drives it
    assert stage.driver.started[-1] == job.id
    leaf = parse_leaf(stage.ledger.log[-1].data).leaf
    assert (leaf.kind, leaf.job, leaf.spec) == ("job.proposed", job.id, job.digest)


async def test_a_job_that_stands_is_driven_though_its_submitter_hears_of_a_fault(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was lost at the commit, which it kept: nobody else would drive it."""
    commit = MemoryUnit.commit

    async def lost(self: MemoryUnit) -> None:
        await commit(self)
        raise InfrastructureError("database_unavailable", "away")

    monkeypatch.setattr(MemoryUnit, "commit", lost)
    before = len(stage.driver.started)
    with pytest.raises(InfrastructureError):
        await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    async with stage.database.begin() as work:
        assert (await work.jobs.get(stage.driver.started[-1])).state is JobState.PROPOSED
    assert len(stage.driver.started) == before + 1


async def test_a_dry_run_makes_nothing(stage: Stage) -> None:
    before = (len(stage.ledger.log), list(stage.driver.started))
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), stage.wanted())
    assert told.details["quorum"] == 3
    assert told.details["dropouts_tolerated"] == 0
    assert any("not survive a dropout" in note for note in told.notes)
    assert (len(stage.ledger.log), stage.driver.started) == before
    listed = (await stage.services.jobs.list(stage.operator)).items
    assert [type(one) for one in listed] == [JobSummary] * 2  # a list holds no spec and no report


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"parts": {"features": FEATURES, "min_contributors": 2}}, "contradictory_spec", "three"),
        ({"parts": {"features": FEATURES, "min_contributors": 4}}, "contradictory_spec", "roster"),
        ({"parts": {}}, "contradictory_spec", "features"),
        (
            {"parts": features(numeric=[{"column": "salary", "bounds": [0, 1]}])},
            "unknown_column", "salary",
        ),
        (
            {"parts": features(numeric=[{"column": "job", "bounds": [0, 1]}], categorical=[])},
            "contradictory_spec", "category",
        ),
        (
            {"parts": features(numeric=[{"column": "age", "bounds": [5, 1]}])},
            "contradictory_spec", "bounds",
        ),
        (
            {"parts": features(label={"column": "age", "positive": "1"})},
            "contradictory_spec", "twice",
        ),
        (
            {"parts": features(categorical=[{"column": "job", "categories": ["clerk"]}])},
            "unknown_category", "farmer",
        ),
        (
            {"parts": features(label={"column": "income", "positive": "rich"})},
            "unknown_category", "rich",
        ),
        ({"purpose": "marketing"}, "column_not_granted", "marketing"),
        ({"parts": {**features(), "protection": "none"}}, "invalid_spec", "protection"),
        ({"project": "prj_00000000000000000000"}, "not_found", ""),
        (
            {"parts": {**features(), "resume": {
                "job": "job_00000000000000000000", "round": 1, "model": "00" * 32}}},
            "not_found", "job",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_work_is_refused_early(
    stage: Stage, change: dict[str, Any], code: str, says: str
) -> None:
    before = len(stage.ledger.log)
    for attempt in (stage.services.jobs.dry_run, stage.services.jobs.submit):
        with refused(code, says):
            await attempt(stage.scientist("bank-a"), stage.wanted(**change))
    assert len(stage.ledger.log) == before


async def test_a_wrong_clock_is_told_at_submission_and_not_by_an_expired_approval(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = {"bank-a": 7200, "bank-b": 7201, "bank-c": 7199, "enclave": 7200, "outsider": -9000}

    def status(party: str) -> PartyStatus:
        return PartyStatus(party, True, 0.0, clock_ahead=ahead[party])

    monkeypatch.setattr(stage.services.courier, "status", status)
    before = (len(stage.ledger.log), list(stage.driver.started))
    scientist, jobs = stage.scientist("bank-a"), stage.services.jobs
    for attempt in (jobs.dry_run, jobs.submit):
        with refused("clock_skew", "the centre's own clock is probably wrong"):
            await attempt(scientist, stage.wanted())
    ahead |= dict.fromkeys(BANKS, 0)
    with refused("clock_skew", "enclave 7200 s ahead"):
        await jobs.submit(scientist, stage.wanted())
    assert (len(stage.ledger.log), stage.driver.started) == before
    masked = stage.wanted(parts={"features": FEATURES, "protection": "secagg"})
    assert (await jobs.submit(scientist, masked)).state == "proposed"  # it needs no enclave
    ahead["enclave"] = -300
    assert (await jobs.submit(scientist, stage.wanted())).state == "proposed"


async def test_a_job_that_needs_an_engine_is_refused_where_a_party_lacks_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anybody is asked: the error names the party and the command."""
    have: dict[str, dict[str, str] | None] = dict.fromkeys(BANKS)
    monkeypatch.setattr(SpecBase, "engine_needed", ("spu", "0.9.5"))
    monkeypatch.setattr(
        stage.services.courier,
        "status",
        lambda party: PartyStatus(party, True, 0.0, engines=have.get(party)),
    )
    jobs, scientist = stage.services.jobs, stage.scientist("bank-a")
    await jobs.dry_run(scientist, stage.wanted())  # who says nothing of engines decides itself
    have |= {"bank-a": {"spu": "0.9.5"}, "bank-b": {}}
    before = (len(stage.ledger.log), list(stage.driver.started))
    for attempt in (jobs.dry_run, jobs.submit):
        with refused("engine_absent", "bank-b"):
            await attempt(scientist, stage.wanted())
    assert (len(stage.ledger.log), stage.driver.started) == before
    have["bank-b"] = {"spu": "0.9.5"}
    assert (await jobs.submit(scientist, stage.wanted())).state == "proposed"


async def test_a_two_party_sum_says_what_it_means_for_both(stage: Stage) -> None:
    two = tuple(stage.ids[f"{bank}.dataset"] for bank in BANKS[:2])
    jobs, scientist = stage.services.jobs, stage.scientist("bank-a")
    told = await jobs.dry_run(scientist, stage.wanted(datasets=two))
    assert told.spec["min_contributors"] == 2
    assert "can compute the other's contribution" in told.notes[0], "what is refused stands first"
    assert len(told.notes) > 1
    assert told.preview is not None
    assert told.preview.two_party
    three = await jobs.dry_run(scientist, stage.wanted())
    assert not any("two parties" in note for note in three.notes)
    assert three.preview is not None
    assert not three.preview.two_party
    assert three.spec["min_contributors"] == 3
    with refused("contradictory_spec", "shows each party the others' data"):
        await jobs.submit(scientist, stage.wanted(datasets=two[:1]))


async def test_a_scored_job_says_what_scoring_costs(stage: Stage) -> None:
    plan = {"rounds": 2, "validation": 0.2, "contribution": {"rows": 50}}
    wanted = stage.wanted()
    scored = {**wanted.parts, "plan": plan, "protection": "sealed"}
    told = await stage.services.jobs.dry_run(
        stage.scientist("bank-a"), replace(wanted, parts=scored)
    )
    assert any("measures up to 16 models on 150 rows" in note for note in told.notes)
    plain = await stage.services.jobs.dry_run(stage.scientist("bank-a"), stage.wanted())
    assert not any("Scoring contributions" in note for note in plain.notes)


async def test_a_job_of_single_parties_trees_says_which_grant_it_needs(stage: Stage) -> None:
    features = {**FEATURES, "numeric": [{**one, "scale": "bounds"} for one in FEATURES["numeric"]]}
    trees = {
        **stage.wanted().parts,
        "features": features,
        "model": {"family": "xgboost", "mode": "bagging"},
        "plan": {"rounds": 7, "validation": 0.2},
        "protection": "sealed",
    }
    told = await stage.services.jobs.dry_run(
        stage.scientist("bank-a"), replace(stage.wanted(), parts=trees)
    )
    assert any("--own-trees 7" in note for note in told.notes)


async def test_foreign_datasets_do_not_exist(stage: Stage) -> None:
    ids = [stage.ids[f"{bank}.dataset"] for bank in BANKS]
    for key in (stage.ids["outsider.dataset"], "dst_00000000000000000000"):
        with refused("not_found"):
            await stage.services.jobs.submit(
                stage.scientist("bank-a"), stage.wanted(datasets=(*ids, key))
            )
    with refused("contradictory_spec", "two datasets"):
        await stage.services.jobs.submit(
            stage.scientist("bank-a"), stage.wanted(datasets=(*ids, ids[0]))
        )


async def test_a_job_goes_on_only_from_what_a_job_of_its_project_released(stage: Stage) -> None:
    """The log says so; job and round were taken as they were written."""
    model = "00" * 32

    def resumed(job: str, number: int = 1, digest: str = model) -> Wanted:
        resume = {"job": job, "round": number, "model": digest}
        return stage.wanted(parts={**features(), "resume": resume})

    rounds = [(1, "moments", {"sums": [1.0]}), (1, "train", {"model": model}), (2, "train", {})]
    for name in ("job", "outsider.job"):
        closed = Record(tuple(
            {"kind": "round.closed", "document": {"round": at, "stage": stage_, "release": shown}}
            for at, stage_, shown in rounds
        ))  # fmt: skip
        async with stage.database.begin() as work:
            job = await work.jobs.get(stage.ids[name])
            own = await work.leaves.end(job.id, SERVER)
        await stage.submit_leaves(pending_leaves(
            job.id, 50, closed, stage.ledger.origin, stage.ledger._keys.signing, job.digest,
            stage.now[0], own,
        ))  # fmt: skip
    ada, jobs = stage.scientist("bank-a"), stage.services.jobs
    await jobs.dry_run(ada, resumed(stage.ids["job"]))
    with refused("not_found"):
        await jobs.dry_run(ada, resumed(stage.ids["outsider.job"]))
    with refused("not_found", "released no model in round 2"):
        await jobs.dry_run(ada, resumed(stage.ids["job"], 2))
    with refused("not_found", f"released the model {model} in round 1, not {'11' * 32}"):
        await jobs.submit(ada, resumed(stage.ids["job"], 1, "11" * 32))


async def test_a_job_does_not_go_on_from_a_model_of_other_tensors(stage: Stage) -> None:
    """As many numbers under other names would be read in another order, and nobody would see it."""
    ada, jobs = stage.scientist("bank-a"), stage.services.jobs
    resume = {"job": stage.ids["job"], "round": 1, "model": "00" * 32}
    parts = features()
    narrower = {**parts["features"], "categorical": []}
    for other in (
        {**parts, "features": narrower},
        {**parts, "model": {"family": "mlp", "hidden": [2]}},
    ):
        wanted = stage.wanted(parts={**other, "resume": resume})
        with refused("contradictory_spec", "this job's model has"):
            await jobs.dry_run(ada, wanted)


async def test_a_column_beyond_the_grant_is_refused_by_name(stage: Stage) -> None:
    datasets = stage.services.datasets
    await datasets.revoke(stage.owner("bank-b"), stage.ids["bank-b.grant"])
    await datasets.grant(
        stage.owner("bank-b"),
        stage.ids["bank-b.dataset"],
        project=stage.ids["project"],
        columns=["age", "income"],
        purposes=[],
        expires=stage.now[0] + 60,
    )
    with refused("column_not_granted", "bank-b has not granted the columns job"):
        await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())


async def test_expired_grants_cover_nothing(stage: Stage) -> None:
    stage.now[0] += YEAR
    with refused("column_not_granted"):
        await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())


async def test_who_is_outside_the_charter_cannot_contribute(stage: Stage) -> None:
    shown = await stage.services.charters.propose(stage.operator, ["bank-a", "bank-b", "outsider"])
    members = [m for m in shown["charter"]["members"] if m["organisation"] != "bank-c"]
    await stage.sign_charter(shown, members)
    with refused("charter_mismatch", "bank-c"):
        await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())


async def test_a_replay_is_told_the_charter_of_the_submission(stage: Stage) -> None:
    job = await stage.services.jobs.get(stage.scientist("bank-a"), stage.ids["job"])
    assert job.progress["members"]["bank-c"] == stage.keys["bank-c"].public
    first = next(Scripts(ENGINE_KINDS).of(job))
    shown = await stage.services.charters.propose(stage.operator, ["bank-a", "bank-b", "outsider"])
    members = [m for m in shown["charter"]["members"] if m["organisation"] != "bank-c"]
    await stage.sign_charter(shown, members)
    assert next(Scripts(ENGINE_KINDS).of(job)) == first


@pytest.mark.parametrize("script", ["training/2", "training/1"])
async def test_a_stored_job_is_read_though_its_texts_are_refused_today(
    stage: Stage, script: str
) -> None:
    job = await stage.services.jobs.get(stage.scientist("bank-a"), stage.ids["job"])
    old = replace(job, script=script, spec={**job.spec, "name": "n\u200bx", "script": script})
    scripts = Scripts(ENGINE_KINDS)
    assert scripts.explain(old, [], [])["disclosure"]
    if script not in ENGINE_KINDS["training"].retired:
        assert next(scripts.of(old))


async def test_cancelling_is_for_contributors(stage: Stage) -> None:
    jobs = stage.services.jobs
    key = stage.ids["job"]
    with refused("not_found"):
        await jobs.cancel(stage.admin("outsider"), key)
    with refused("forbidden"):
        await jobs.cancel(stage.person("bank-a", Role.AUDITOR), key)
    await jobs.cancel(stage.owner("bank-c"), key)
    assert stage.driver.cancelled == [(key, "bank-c.data-owner")]
    job = await jobs.get(stage.operator, key)
    await stage.finish(job, state=JobState.CANCELLED)
    with refused("already_finished"):
        await jobs.cancel(stage.operator, key)


async def test_a_member_that_does_not_contribute_cannot_cancel(stage: Stage) -> None:
    projects = stage.services.projects
    await projects.invite(stage.admin("bank-a"), stage.ids["project"], "outsider")
    await projects.accept(stage.admin("outsider"), stage.ids["project"])
    with refused("forbidden"):
        await stage.services.jobs.cancel(stage.admin("outsider"), stage.ids["job"])


async def test_the_report_comes_at_the_end(stage: Stage) -> None:
    jobs, ada = stage.services.jobs, stage.scientist("bank-b")
    with refused("not_finished"):
        await jobs.report(ada, stage.ids["job"])
    job = await jobs.get(ada, stage.ids["job"])
    error = SecureFlowError("round_lost", "bank-c never came back.").as_json()
    await stage.finish(job, state=JobState.FAILED, error=error)
    with refused("no_report", "bank-c never came back"):
        await jobs.report(ada, job.id)
    await stage.finish(job, state=JobState.SUCCEEDED, report={"rounds": 3})
    assert await jobs.report(ada, job.id) == {"rounds": 3}
    with refused("not_found"):
        await jobs.report(stage.scientist("outsider"), job.id)


async def append(stage: Stage, kind: str, **data: Any) -> None:
    async with stage.database.begin() as work:
        await work.events.append(stage.ids["job"], kind, stage.now[0], data)
        await work.commit()


async def test_events_are_replayed_and_followed_to_the_end(stage: Stage) -> None:
    jobs, ada, key = stage.services.jobs, stage.scientist("bank-b"), stage.ids["job"]
    seen: list[Any] = []
    caught_up = asyncio.Event()

    async def watch() -> None:
        async for event in jobs.events(ada, key, 0):
            seen.append(event)
            caught_up.set()

    watching = asyncio.create_task(watch())
    await caught_up.wait()
    await append(stage, "round", round=1)
    await stage.bus.publish(f"job/{key}")
    job = await jobs.get(ada, key)
    await append(stage, "done", state="succeeded")
    await stage.finish(job, state=JobState.SUCCEEDED)
    await stage.bus.publish(f"job/{key}")
    await asyncio.wait_for(watching, 120)
    assert [event.kind for event in seen] == ["state", "round", "done"]
    resumed = [event.kind async for event in jobs.events(ada, key, seen[0].id)]
    assert resumed == ["round", "done"]


async def test_foreign_events_do_not_exist(stage: Stage) -> None:
    with refused("not_found"):
        async for _ in stage.services.jobs.events(stage.admin("outsider"), stage.ids["job"], 0):
            pytest.fail("an event was shown")


@pytest.mark.parametrize(
    ("features", "model", "code", "says"),
    [
        ({"label": {"column": "job", "bounds": [0, 1]}, "categorical": []}, "linear",
         "contradictory_spec", "bank-"),
        ({"label": {"column": "income", "classes": ["low", "x"]}}, "softmax", "unknown_category",
         "high"),
        ({"weight": {"column": "job", "bounds": [0, 1]}, "categorical": []},
         "logistic_regression", "contradictory_spec", "bank-"),
        ({"weight": {"column": "shoe", "bounds": [0, 1]}}, "logistic_regression",
         "unknown_column", "shoe"),
    ],
)  # fmt: skip
async def test_a_label_or_weight_that_an_owner_does_not_have_is_refused_by_name(
    stage: Stage, features: dict[str, Any], model: str, code: str, says: str
) -> None:
    wanted = stage.wanted()
    asked = {"features": {**wanted.parts["features"], **features}, "model": {"family": model}}
    with refused(code, says):
        await stage.services.jobs.dry_run(
            stage.scientist("bank-a"), replace(wanted, parts={**wanted.parts, **asked})
        )


async def test_a_dry_run_says_that_masks_clamp_the_first_steps_of_a_schedule(stage: Stage) -> None:
    async def told(protection: str, **model: Any) -> bool:
        wanted = stage.wanted()
        model = {"family": "sgd_classifier", "alpha": 1e-4, **model}
        parts = {**wanted.parts, "model": model, "protection": protection}
        dry = await stage.services.jobs.dry_run(
            stage.scientist("bank-a"), replace(wanted, parts=parts)
        )
        return any("up to 10.0 long" in note and "±8.0" in note for note in dry.notes)

    assert await told("secagg", schedule="optimal")
    assert not await told("sealed", schedule="optimal")  # the change is scaled as a whole
    assert not await told("secagg", schedule="invscaling")
    with refused("contradictory_spec", "model.alpha"):
        await told("sealed", schedule="optimal", alpha=0.0)


async def test_a_job_may_learn_classes_or_a_number(stage: Stage) -> None:
    wanted = stage.wanted()
    known = wanted.parts["features"]
    label = {"column": "income", "classes": ["low", "high"]}
    number = {"label": {"column": "age", "bounds": [0, 150]}, "numeric": []}
    for features, model, told in (
        ({"label": label}, {"family": "mlp", "hidden": [4]}, ""),
        (number, {"family": "linear"}, "[0, 150]"),
    ):
        parts = {**wanted.parts, "features": {**known, **features}, "model": model}
        dry = await stage.services.jobs.dry_run(
            stage.scientist("bank-a"), replace(wanted, parts=parts)
        )
        assert dry.spec["model"]["family"] == model["family"]
        assert any(told in str(note) for note in dry.notes)
