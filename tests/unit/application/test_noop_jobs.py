"""Who may stand in a roster without a dataset: members of the project, and in rehearsals only."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from tests.stage import BANKS, FEATURES, Stage
from tests.unit.application.refusing import refused

REHEARSAL: dict[str, Any] = {
    "model": {"family": "rehearsal", "parameters": 8},
    "plan": {"rounds": 1, "validation": 0.0},
}


def rehearsal(stage: Stage, *parties: str) -> Wanted:
    return stage.wanted(datasets=(), parts={**REHEARSAL, "parties": parties})


async def test_members_rehearse_without_data(stage: Stage) -> None:
    wanted = rehearsal(stage, *BANKS)
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)
    assert {line["dataset"] for line in job.spec["roster"]} == {""}


@pytest.mark.parametrize("stranger", ["outsider", "nobody"])
async def test_nobody_is_asked_who_is_no_member_of_the_project(stage: Stage, stranger: str) -> None:
    """Else any user could have any organisation asked for consent, in the name of a project."""
    wanted = rehearsal(stage, *BANKS[:2], stranger)
    with refused("not_a_member", stranger):
        await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)


async def test_a_job_on_data_takes_nobody_without_any(stage: Stage) -> None:
    two = tuple(stage.ids[f"{bank}.dataset"] for bank in BANKS[:2])
    parts = {"features": FEATURES, "parties": BANKS[2:]}
    wanted = stage.wanted(datasets=two, parts=parts)
    with refused("contradictory_spec", "without a dataset"):
        await stage.services.jobs.submit(stage.scientist("bank-a"), wanted)
