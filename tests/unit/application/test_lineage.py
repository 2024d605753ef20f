"""The graph around a model: from what it came, and what was done with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application import lineage as lineages
from secureflow.application.lineage import Lineage
from secureflow.domain.ids import new_id
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.models import upload_id
from secureflow.domain.references import MOST, references_of
from secureflow.kit.errors import SecureFlowError
from tests.stage import Stage, two_worlds

UPLOADED, LAYOUT = "ab" * 32, "cd" * 32


@pytest.fixture
async def stage(tmp_path: Any) -> Stage:
    return await two_worlds(tmp_path)


async def add_job(stage: Stage, kind: str, spec: dict[str, Any], **changes: Any) -> Job:
    async with stage.services.begin() as work:
        first = await work.jobs.get(stage.ids["job"])
        job = replace(first, id=new_id("job"), kind=kind, spec=spec, name=kind, **changes)
        await work.jobs.add(job)
        await work.commit()
    return job


async def digest_of(stage: Stage, model: str) -> str:
    async with stage.services.begin() as work:
        return (await work.models.get(model)).digest


def edges(graph: Lineage) -> set[tuple[str, str, str]]:
    return {(one.source, one.target, one.relation) for one in graph.edges}


async def of(stage: Stage, model: str) -> Lineage:
    return await stage.services.lineages.of(stage.scientist("bank-b"), model)


async def test_a_model_shows_where_it_comes_from(stage: Stage) -> None:
    first = stage.ids["model"]
    digest = await digest_of(stage, first)
    prep = await add_job(stage, "preparation", {})
    sweep = await add_job(stage, "sweep", {})
    spec = {
        "resume": {"job": stage.ids["job"], "round": 3, "model": digest},
        "initial": {"model": UPLOADED, "layout": LAYOUT},
        "features": {"recipe": {"job": prep.id}},
        "part_of": {"job": sweep.id, "number": 2},
    }
    job = await add_job(stage, "training", spec)
    made = await stage.add_model(job, b"\1\0\x80?" * 4)
    graph = await of(stage, made)
    upload = upload_id(job.project, UPLOADED, LAYOUT)
    assert edges(graph) == {
        (job.id, made, "released"),
        (first, job.id, "resumed"),
        (stage.ids["job"], first, "released"),
        (prep.id, job.id, "recipe"),
        (sweep.id, job.id, "part_of"),
        (upload, job.id, "initial"),
    }
    kinds = {one.id: one.kind for one in graph.nodes}
    assert (kinds[made], kinds[upload], kinds[sweep.id]) == ("model", "upload", "job")
    forwards = await of(stage, first)
    assert {(first, job.id, "resumed"), (job.id, made, "released")} <= edges(forwards)


async def test_a_model_shows_what_was_done_with_it(stage: Stage) -> None:
    model = stage.ids["model"]
    digest = await digest_of(stage, model)
    report = {
        "evaluation": {
            "models": [
                {"model": digest, "figures": {"auc": 0.8}, "contributors": ["bank-a", "bank-b"]},
                {"model": "ee" * 32, "figures": {"auc": 0.1}},
            ]
        }
    }
    scored = {"models": [{"job": stage.ids["job"], "digest": digest}]}
    evaluation = await add_job(stage, "evaluation", scored, report=report, state=JobState.SUCCEEDED)
    applied = {"model": {"job": stage.ids["job"], "digest": digest}}
    prediction = await add_job(stage, "prediction", applied)
    await add_job(stage, "evaluation", {"models": [{"digest": "ee" * 32}]})
    graph = await of(stage, model)
    assert {
        (model, evaluation.id, "evaluated"), (model, prediction.id, "predicted"),
        (stage.ids["job"], model, "released"),
    } == edges(graph)  # fmt: skip
    (one,) = graph.evaluations
    assert (one.job, one.by, one.figures) == (evaluation.id, "bank-a", {"auc": 0.8})
    assert one.contributors == ["bank-a", "bank-b"]
    assert not graph.more


async def test_what_one_may_not_see_is_not_there(stage: Stage) -> None:
    """The same parameters in another project: its jobs are nobody's business here."""
    model, other = stage.ids["model"], stage.ids["outsider.project"]
    digest = await digest_of(stage, model)
    await add_job(stage, "evaluation", {"models": [{"digest": digest}]}, project=other)
    graph = await of(stage, model)
    assert {one.id for one in graph.nodes} == {model, stage.ids["job"]}
    spec = {"resume": {"job": stage.ids["outsider.job"], "round": 1, "model": digest}}
    job = await add_job(stage, "training", spec)
    made = await stage.add_model(job, b"\2\0\x80?" * 4)
    assert stage.ids["outsider.job"] not in {one.id for one in (await of(stage, made)).nodes}
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.lineages.of(stage.scientist("outsider"), model)
    assert caught.value.code == "not_found"


async def test_a_large_graph_is_cut_and_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineages, "MOST", 3)
    digest = await digest_of(stage, stage.ids["model"])
    for _ in range(3):
        await add_job(stage, "prediction", {"model": {"digest": digest}})
    graph = await of(stage, stage.ids["model"])
    assert (len(graph.nodes), graph.more) == (3, True)


async def test_jobs_that_name_each_other_end(stage: Stage) -> None:
    one = await add_job(stage, "training", {})
    loop = {"part_of": {"job": one.id}, "features": {"recipe": {"job": one.id}}}
    await stage.finish(one, spec=loop)
    made = await stage.add_model(one, b"\3\0\x80?" * 4)
    graph = await of(stage, made)
    assert graph.more
    assert {node.id for node in graph.nodes} == {made, one.id}


def test_references_are_bounded_and_of_known_shape() -> None:
    many = {"models": [{"digest": f"{n:064x}", "job": f"job_{n}"} for n in range(99)]}
    assert len(references_of(many)) == MOST
    deep: dict[str, Any] = {"job": "job_1"}
    for _ in range(20):
        deep = {"x": deep}
    assert references_of(deep) == []
    strange = {"job": 5, "model": {"family": "x"}, "digest": "zz", "name": "ab" * 32}
    assert references_of(strange) == []
