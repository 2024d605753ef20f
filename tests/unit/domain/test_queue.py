"""Who starts next: limits, priorities, fairness, waiting, times."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from secureflow.domain.queue import STEP_SECONDS, UNLIMITED, QueuedJob, QueueLimits, due, standing

NOW = 1_000_000
TIGHT = QueueLimits(running=4, of_organisation=2, of_user=1)


def job(name: str, organisation: str = "bank-a", user: str = "ada", **more: int) -> QueuedJob:
    wanted = {"priority": 5, "since": NOW, **more}
    return QueuedJob(
        name, organisation, user, wanted["priority"], wanted["since"],
        wanted.get("not_before", 0), bool(wanted.get("started", 0)),
    )  # fmt: skip


def started(jobs: list[QueuedJob], limits: QueueLimits, now: int = NOW) -> list[str]:
    return [one.job for one in due(jobs, limits, now)]


def test_the_highest_priority_goes_first() -> None:
    jobs = [job("low", priority=1), job("high", user="bob", priority=7), job("mid", user="eve")]
    assert started(jobs, UNLIMITED) == ["high", "mid", "low"]
    assert started(jobs, QueueLimits(running=1)) == ["high"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (QueueLimits(running=1), ["a1"]),
        (QueueLimits(of_organisation=1), ["a1", "b1"]),
        (QueueLimits(of_user=1), ["a1", "b1", "a3"]),
    ],
)
def test_each_limit_holds(limits: QueueLimits, expected: list[str]) -> None:
    jobs = [
        job("a1", since=NOW - 3),
        job("a2", since=NOW - 2),
        job("a3", user="bob", since=NOW - 1),
        job("b1", "bank-b", "eve"),
    ]
    assert started(jobs, limits) == expected


def test_a_started_job_holds_its_place_until_it_leaves() -> None:
    jobs = [job("runs", started=1), job("next", user="bob")]
    one = QueueLimits(running=1)
    assert started(jobs, one) == []
    assert started(jobs[1:], one) == ["next"]


def test_organisations_take_turns_whoever_submits_more() -> None:
    flood = [job(f"a{n}", user=f"u{n}", since=NOW - 100 + n) for n in range(10)]
    few = [job(f"b{n}", "bank-b", "eve", since=NOW - 1) for n in range(2)]
    assert started(flood + few, QueueLimits(running=4)) == ["a0", "b0", "a1", "b1"]


def test_people_of_one_organisation_take_turns() -> None:
    jobs = [job(f"a{n}", since=NOW - 10 + n) for n in range(3)] + [job("b", user="bob")]
    assert started(jobs, QueueLimits(running=2)) == ["a0", "b"]


def test_waiting_counts_like_priority_so_that_nobody_waits_for_ever() -> None:
    old = job("old", priority=0, since=NOW - 6 * STEP_SECONDS)
    assert started([old, job("new", user="bob", priority=5)], QueueLimits(running=1)) == ["old"]
    late = replace(old, since=NOW - 5 * STEP_SECONDS + 1)
    assert started([late, job("new", user="bob")], QueueLimits(running=1)) == ["new"]


def test_a_job_waits_for_its_time_and_does_not_age_before_it() -> None:
    timed = job("timed", priority=0, since=NOW - 50 * STEP_SECONDS, not_before=NOW)
    other = job("other", user="bob", priority=1)
    assert started([timed], UNLIMITED, NOW - 1) == []
    assert started([timed], UNLIMITED, NOW) == ["timed"]
    assert started([timed, other], QueueLimits(running=1), NOW) == ["other"]


def test_a_job_that_waits_for_its_time_takes_nobodys_place() -> None:
    timed = job("timed", priority=9, not_before=NOW + 5)
    assert started([timed, job("other", user="bob")], QueueLimits(running=1)) == ["other"]


def test_a_held_up_organisation_holds_up_nobody_else() -> None:
    jobs = [job("runs", started=1), job("next", priority=9), job("b", "bank-b", "eve", priority=0)]
    assert started(jobs, QueueLimits(of_user=1)) == ["b"]


def test_standing_says_what_a_job_waits_for() -> None:
    jobs = [
        job("runs", started=1),
        job("second", since=NOW - 2),
        job("third", since=NOW - 1),
        job("b", "bank-b", "eve", priority=9),
        job("later", "bank-b", "eve", not_before=NOW + 60),
    ]
    at = standing(jobs, "third", TIGHT, NOW)
    assert (at.full, at.running, at.ahead, at.not_before) == ("of_user", (1, 1, 1), 2, 0)
    assert standing(jobs, "b", TIGHT, NOW).full == ""
    assert standing(jobs, "b", TIGHT, NOW).ahead == 0
    assert standing(jobs, "later", TIGHT, NOW).not_before == NOW + 60
    assert standing(jobs, "b", QueueLimits(running=1), NOW).full == "running"
    assert standing(jobs, "second", QueueLimits(of_organisation=1), NOW).full == "of_organisation"


def test_no_order_of_arrivals_and_ends_ever_exceeds_a_limit() -> None:
    draw = random.Random(13)
    for _ in range(200):
        queue: dict[str, QueuedJob] = {}
        for step in range(40):
            now = NOW + step * draw.choice([1, 900])
            if queue and draw.random() < 0.4:
                del queue[draw.choice(sorted(queue))]
            name = f"job{step}"
            where = draw.choice(["bank-a", "bank-b", "bank-c"])
            queue[name] = job(
                name, where, draw.choice("xyz"), since=now, priority=draw.randrange(10)
            )
            for one in due(queue.values(), TIGHT, now):
                queue[one.job] = one
            running = [one for one in queue.values() if one.started]
            assert len(running) <= TIGHT.running
            for one in running:
                of = [other for other in running if other.organisation == one.organisation]
                assert len(of) <= TIGHT.of_organisation
                assert sum(other.user == one.user for other in of) <= TIGHT.of_user
            assert not due(queue.values(), TIGHT, now), "a free place was left free"
