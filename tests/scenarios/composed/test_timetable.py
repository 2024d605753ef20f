"""A timetable over real processes: approved once, one run at once, the next one at its time."""

from __future__ import annotations

import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingPlan
from secureflow.sdk.timetables import repeating
from tests.survival.world import await_end, check_story, training, verified

PLAN = TrainingPlan(rounds=1, batch_size=64, learning_rate=0.1)


def test_a_run_follows_at_its_time_and_the_next_one_waits_for_its_own(place: Platform) -> None:
    request = dump(training(place, PLAN, protection="secagg", name="nightly"))
    asked = {name: value for name, value in request.items() if value is not None}
    with place.client("bank-a") as client:
        job = client.jobs.submit(repeating(asked, every=600, runs=2))
        for event in client.jobs.watch(job.id):
            if event.kind == "run" and event.data["run"] == 2:
                break
        view = client.timetables.get(job.id)
        assert (view.of, view.every, view.runs, view.next_run) == ("training", 600, 2, 2)
        assert [(one["run"], one["state"]) for one in view.last] == [(1, "succeeded")]
        assert view.next_at == view.first + 600
        run = client.jobs.get(part_id(job.id, 1))
        assert (run.state, run.name) == ("succeeded", "nightly #1")
        assert run.spec["part_of"] == {"job": job.id, "number": 1}
        assert [one.job for one in client.timetables.list()] == [job.id]
        assert client.timetables.pause(job.id).paused_by
        assert not client.timetables.resume(job.id).paused_by
        explained = client.jobs.explain(job.id)
        assert [one["state"] for one in explained["runs"]] == ["succeeded", "waits"]
        lines = [one.job for one in client.queue.list().items]
        assert job.id not in lines, "it waits in no place"
        client.jobs.cancel(job.id)
        ended = await_end(client, job.id)
        assert ended.state == "cancelled"
        assert client.timetables.get(job.id).next_run == 0
        page = client.jobs.list(kind="training")
        assert part_id(job.id, 2) not in [one.id for one in page]
    assert verified(place, run.id)
    check_story(place, run)


@pytest.mark.full
def test_a_timetable_of_one_run_ends_with_a_report(place: Platform) -> None:
    request = dump(training(place, PLAN, protection="secagg", name="once"))
    asked = {name: value for name, value in request.items() if value is not None}
    with place.client("bank-a") as client:
        job = await_end(client, client.jobs.submit(repeating(asked, every=600, runs=1)).id)
        assert job.state == "succeeded", str(job.error)
        report = job.report or {}
        assert [one["state"] for one in report["runs"]] == ["succeeded"]
        assert "Timetable" in client.jobs.report_html(job.id)
    assert verified(place, job.id)
