"""Whatever was asked for can be run again: the console makes of its spec the same job, by digest.

The page itself (`web/src/console/canvas/fromspec.ts`) makes each request, in Node; the centre's
check of drafts then says what the request would be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.canvases import asked_again, built
from peers.verifiers import demand_node

from secureflow.application.components.catalogue import catalogue
from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.domain.jobs import Job
from secureflow.domain.jobtemplates import TEMPLATES
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kinds import SPEC_KINDS
from tests.stage import BANKS, Stage
from tests.unit.application.test_drawn_digests import ALONE, DECLARED, HEAD, RISK
from tests.unit.application.test_evaluation_jobs import MOMENTS, SCORES, change_model
from tests.unit.application.test_example_digests import EXAMPLES, declare, on_stage
from tests.unit.application.test_statistics_jobs import publish

FILES = [one for one in EXAMPLES if one.stem != "auction"]
"""Every example but the one whose program is uploaded beside it."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    demand_node()
    return built(tmp_path_factory.mktemp("canvas"), "again")


async def submitted(stage: Stage, asked: dict[str, Any]) -> Job:
    request = SPEC_KINDS[asked["kind"]].request
    wanted = Wanted.of(parse(request, asked))
    return await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)


async def again(stage: Stage, program: Path, asked: dict[str, Any]) -> tuple[str, str]:
    """Return the digest of a job that was submitted, and of the one that it is asked for again."""
    job = await submitted(stage, asked)
    scientist = stage.scientist("bank-a")
    datasets = [
        {"id": stage.ids[f"{bank}.dataset"], "name": "customers", "organisation": bank}
        for bank in BANKS
    ]
    models = [{"id": stage.ids["model"], "job": stage.ids["job"]}]
    known = {"datasets": datasets, "models": models}
    made = asked_again(program, catalogue(JOB_KINDS.engines), known, {"job": dict(job.spec)})
    found = await stage.services.drafts.check(scientist, made["job"])
    assert [(one.field, one.message) for one in found.problems] == []
    return job.digest, found.digest


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.stem)
async def test_an_example_is_asked_for_again(stage: Stage, program: Path, file: Path) -> None:
    await declare(stage, DECLARED[file.stem])
    first, second = await again(stage, program, on_stage(file, stage))
    assert first == second


@pytest.mark.parametrize("kind", ALONE)
async def test_a_kind_without_an_example_is_asked_for_again(
    stage: Stage, program: Path, kind: str
) -> None:
    await declare(stage, RISK)
    datasets = [stage.ids[f"{bank}.dataset"] for bank in BANKS]
    head = {**HEAD, "kind": kind, "project": stage.ids["project"], "datasets": datasets}
    first, second = await again(stage, program, {**head, **ALONE[kind]})
    assert first == second


@pytest.mark.full
@pytest.mark.parametrize("key", sorted(TEMPLATES))
@pytest.mark.parametrize("budgets", [False, True])
async def test_a_template_is_asked_for_again(
    stage: Stage, program: Path, key: str, budgets: bool
) -> None:
    if budgets:
        for bank in BANKS:
            await publish(stage, bank)
    banks = BANKS[:2] if key == "market-overlap" else BANKS
    keys = dict.fromkeys(banks, "job") if key == "market-overlap" else {}
    filled = await stage.services.job_templates.fill(
        stage.scientist("bank-a"), key, stage.ids["project"],
        [stage.ids[f"{bank}.dataset"] for bank in banks], keys=keys,
    )  # fmt: skip
    first, second = await again(stage, program, filled.request)
    assert first == second


def of_model(stage: Stage, kind: str, **parts: Any) -> dict[str, Any]:
    datasets = [stage.ids[f"{bank}.dataset"] for bank in BANKS]
    head = {**HEAD, "kind": kind, "project": stage.ids["project"], "datasets": datasets}
    model = stage.ids["model"]
    own: dict[str, Any] = {"models": [model]} if kind == "evaluation" else {"model": model}
    return {**head, **own, **parts}


async def test_what_is_asked_of_a_model_is_asked_again(stage: Stage, program: Path) -> None:
    await change_model(stage, card={"moments": MOMENTS})
    first, second = await again(stage, program, of_model(stage, "prediction"))
    assert first == second
    asked = of_model(stage, "evaluation")
    first, second = await again(stage, program, asked)
    assert first == second
    done = await submitted(stage, {**asked, "name": "before"})
    model = done.spec["models"][0]["digest"]
    measured = {"model": model, "distribution": SCORES}
    await stage.finish(done, report={"evaluation": {"models": [measured]}})
    first, second = await again(stage, program, {**asked, "baseline": done.id})
    assert first == second


def test_every_kind_is_asked_for_again() -> None:
    kinds = {yaml.safe_load(one.read_text())["kind"] for one in FILES}
    assert kinds | set(ALONE) | {"evaluation", "prediction"} == set(SPEC_KINDS)
