"""A job that was paused in mid-round goes on: what its agents were refused is sent anew."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.agent.job.retrying import PAUSES
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import JobState
from tests.survival.test_setback import until
from tests.survival.world import PLAN, await_end, platform, training, verified

AT = "UPDATE journal SET digest = ? WHERE job = ? AND seq = 1"


def set_digest(place: Platform, job: str, digest: str) -> str:
    """Change a row of a stopped centre's journal; return what it was."""
    with closing(sqlite3.connect(place.server / "secureflow.db")) as database, database:
        read = "SELECT digest FROM journal WHERE job = ? AND seq = 1"
        ((before,),) = database.execute(read, (job,)).fetchall()
        database.execute(AT, (digest, job))
    return str(before)


@pytest.mark.full
def test_a_job_whose_journal_was_damaged_goes_on_after_its_repair(tmp_path: Path) -> None:
    with platform(tmp_path / "p") as place:
        with place.client("bank-a") as client:
            request = training(place, replace(PLAN, rounds=60), protection="secagg")
            job = client.jobs.submit(request).id
            next(event for event in client.jobs.watch(job) if event.kind == "round")
        place.processes["server"].kill()
        digest = set_digest(place, job, "0" * 64)
        place.start("server")
        with place.client("bank-a") as client:
            until(lambda: client.jobs.get(job).state is JobState.PAUSED)
            given_up = time.monotonic() + sum(PAUSES) + 2.0  # by agents that were to send something
            until(lambda: time.monotonic() > given_up)
        place.processes["server"].kill()
        set_digest(place, job, digest)
        place.start("server")
        with place.client("bank-a") as client:
            assert client.jobs.get(job).state is JobState.PAUSED  # nobody but a person resumes it
            client.jobs.resume(job)
            ended = await_end(client, job)
        assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
        assert verified(place, job)
