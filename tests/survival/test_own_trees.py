"""Trees of single parties over real links: under a grant alone, and made again as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.layout import KIND, VALUE, parts_of
from secureflow.kit.clock import system_clock
from tests.survival.forests import trees_request
from tests.survival.points import Arming
from tests.survival.world import check_story, platform, run_under

ROUNDS = 3


def granted(place: Platform, **terms: Any) -> None:
    """Make a grant at every owner's agent."""
    for party, owner in place.parties.items():
        with place.client(party) as client:
            declared = client.datasets.get(owner.dataset_id)
        api.grant_create(owner.config, {
            "dataset": declared.name, "project": place.project, "expires": system_clock() + 86_400,
            "columns": [one.name for one in declared.columns], **terms,
        })  # fmt: skip


def grown(place: Platform, mode: str, arming: Arming | None) -> tuple[Job, list[str]]:
    request = trees_request(place, "sealed", mode=mode, subsample=0.7, rounds=ROUNDS)
    return run_under(place, arming, request)


def trees_of(place: Platform, job: Job) -> list[bool]:
    """Tell of each place of a released model whether there is a tree."""
    with place.client("bank-a") as client:
        found = client.models.load((job.report or {})["model"]["id"])
    parts = parts_of(layout_of(found._spec), found.parameters)
    return [bool(one[:, [KIND, VALUE]].any()) for one in parts.nodes]


@pytest.mark.full
def test_a_killed_agent_makes_the_same_trees_again_under_a_grant_that_names_them(
    tmp_path: Path,
) -> None:
    with platform(tmp_path / "p") as place:
        refused, _ = grown(place, "bagging", None)  # a policy that permits everything
        assert refused.state == "failed"
        assert "No grant of" in str(refused.error)
        granted(place, own_trees=ROUNDS)
        calm, _ = grown(place, "bagging", None)
        assert calm.state == "succeeded", calm.error
        assert trees_of(place, calm) == [True] * 3 * ROUNDS
        job, died = grown(place, "bagging", Arming("bank-b", ("train",), share=0.5))
        assert job.state == "succeeded", (job.error, died[-3:])
        assert len(died) >= 2, died
        check_story(place, job)
        # Each job has its own secret, which draws the rows: the trees of two jobs differ, and those
        # of one that were made again, after a death, are the ones that were recorded.
        taken, died = grown(place, "cyclic", Arming("enclave", ("release", "train"), share=0.4))
        assert taken.state == "succeeded", (taken.error, died[-3:])
        check_story(place, taken)
        assert trees_of(place, taken) == [True] * ROUNDS
