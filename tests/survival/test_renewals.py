"""An approval that runs out while a job waits for another owner: asked for anew, on real processes.

The clock of one owner's machine moves on by two minutes; its approvals last for one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.specs.training import TrainingPlan
from tests.peers.clocks import Clocks
from tests.survival.world import await_end, own_entries, platform, training, verified

pytestmark = pytest.mark.soak
PLAN = TrainingPlan(rounds=2, batch_size=64, learning_rate=0.1)
LASTS = {"SECUREFLOW_AGENT__CONSENT__MAX_AGE": "60"}
LATER = 120
PATIENCE = 60.0


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Clocks:
    return Clocks(tmp_path_factory.mktemp("clocks"))


@pytest.fixture(scope="module")
def place(clocks: Clocks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Owners who decide themselves; the second one's clock can be moved."""
    directory = tmp_path_factory.mktemp("renewals") / "p"
    own = {"bank-b": {**clocks.environment("bank-b"), **LASTS}}
    with platform(directory, mortal=False, policy="", own=own) as built:
        yield built


def item(place: Platform, party: str, job: str, but: str = "") -> Any:
    """Return the request of a job that waits for a party's person."""
    config = place.parties[party].config
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for one in api.inbox_list(config):
            if one["job"] == job and one["id"] != but:
                return one
        time.sleep(0.1)
    raise AssertionError(f"{job} asks {party} for nothing")


def approve(place: Platform, party: str, job: str) -> str:
    found = item(place, party, job)
    api.inbox_approve(place.parties[party].config, found["id"], "as ever")
    return str(found["id"])


def approvals(place: Platform, job: str, party: str) -> int:
    with place.client("bank-a") as client:
        entries = own_entries(client.jobs.bundle(job), job)
    leaves = [entry["leaf"]["leaf"] for entry in entries]
    return [(leaf["kind"], leaf["author"]) for leaf in leaves].count(("approval", party))


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_an_approval_that_ran_out_while_others_were_waited_for(
    place: Platform, clocks: Clocks, decision: str
) -> None:
    clocks.right()
    config = place.parties["bank-b"].config
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place, PLAN)).id
        approve(place, "bank-a", job)
        first = approve(place, "bank-b", job)
        clocks.set("bank-b", LATER)
        approve(place, "bank-c", job)
        again = item(place, "bank-b", job, but=first)
        shown = api.inbox_show(config, again["id"])
        assert shown["reasons"][0] == "its approval has expired: the same job asks again"
        assert not client.jobs.get(job).state.final  # it waits for that person
        if decision == "approved":
            api.inbox_approve(config, again["id"], "once more")
        else:
            api.inbox_reject(config, again["id"], "not once more")
        ended = await_end(client, job)
    if decision == "approved":
        assert ended.state == "succeeded", ended.error
        assert approvals(place, job, "bank-b") == 2
        assert approvals(place, job, "bank-a") == 1
        assert verified(place, job)
    else:
        assert (ended.state, (ended.error or {})["code"]) == ("failed", "consent_refused")
        assert "bank-b refused: not once more" in (ended.error or {})["message"]
