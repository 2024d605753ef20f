"""Stored data of 0.2.0, started under today's code: jobs that were running go on, and end well.

They were killed in their third round or later. Their script, training/2, stays for one release: the
journal is replayed, the parties make their recorded updates again bit by bit, and the rounds that
are left follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from secureflow.agent import api
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.sdk import Client
from tests.upgrade.old import BANKS, Old, unpack
from tests.upgrade.test_upgrade import ended

ARCHIVE = Path(__file__).parent / "0.2.0.tar.xz"
RUNNING = ("running_sealed", "running_secagg", "running_both", "running_private")
ENDED = ("sealed", "secagg", "private", "statistics")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    made = unpack(ARCHIVE, tmp_path_factory.mktemp("old"))
    with made.place:
        made.start()
        yield made


@pytest.fixture(scope="module")
def client(old: Old) -> Iterator[Client]:
    with old.place.client("bank-a") as made:
        yield made


@pytest.mark.parametrize("name", RUNNING)
def test_running_jobs_go_on_to_their_end(old: Old, client: Client, name: str) -> None:
    job = ended(client, old.id(name))
    assert (job.state, job.script) == ("succeeded", "training/2"), job.error
    report = client.jobs.report(job.id)
    assert [row["round"] for row in report["history"]] == list(range(1, 15))
    assert verified(old, client, job.id) == "verified"


@pytest.mark.parametrize("name", ENDED)
def test_bundles_of_jobs_that_had_ended_still_verify(old: Old, client: Client, name: str) -> None:
    assert client.jobs.get(old.id(name)).state == "succeeded"
    assert verified(old, client, old.id(name)) == "verified"


def test_a_request_that_waits_is_approved_and_its_job_runs(old: Old, client: Client) -> None:
    job, config = old.id("waiting"), old.place.parties["bank-a"].config
    for party in BANKS:
        config = old.place.parties[party].config
        for item in api.inbox_list(config, waiting=True):
            if item["job"] == job:
                api.inbox_approve(config, item["id"], "yes")
    assert ended(client, job).state == "succeeded"


@pytest.mark.parametrize("party", BANKS)
def test_budgets_hold_what_the_private_jobs_cost(old: Old, party: str) -> None:
    (line,) = api.data_budget(old.place.parties[party].config, exact=False)
    held = {one["job"]: (one["state"], one["charge"][0]["count"]) for one in line["reservations"]}
    assert held == {
        old.id("private"): ("committed", 2),
        old.id("statistics"): ("committed", 2),
        old.id("running_private"): ("committed", 14),
    }


def verified(old: Old, client: Client, job: str) -> str:
    charter = SignedCharter.parse(old.place.charter_file().read_bytes()).charter
    return verify_bundle(client.jobs.bundle(job), charter).status
