"""Parties that go for good: four go on as three; three name who is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from secureflow.demo.platform import Platform
from tests.survival.world import await_end, check_story, platform, rehearsal, verified

pytestmark = [pytest.mark.xdist_group("dropouts"), pytest.mark.timeout(240)]
PATIENCE = 10.0  # seconds without a sign of life: far more than a busy machine needs
ROUNDS = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("dropouts") / "p"
    with platform(directory, 4, data=False, mortal=False) as built:
        yield built


def kill_after_the_first_round(place: Platform, job: str, victim: str) -> None:
    with place.client("bank-a") as client:
        for event in client.jobs.watch(job):
            if event.kind == "round":
                place.processes[victim].kill()
                return
    raise AssertionError(f"{job} ended before its first round")


def test_one_of_four_gone_for_good(place: Platform) -> None:
    everybody = tuple(place.parties)
    with place.client("bank-a") as client:
        job = client.jobs.submit(rehearsal(place, everybody, ROUNDS, PATIENCE))
        kill_after_the_first_round(place, job.id, "bank-d")
        ended = await_end(client, job.id)
    assert ended.state == "succeeded", ended.error
    report = ended.report or {}
    assert report["rounds"] == ROUNDS
    assert report["history"][-1]["survivors"] == 3
    assert {drop["party"] for drop in report["dropouts"]} == {"bank-d"}
    assert report["contributions"]["bank-d"]["rounds"] in (1, 2)
    assert report["contributions"]["bank-a"]["rounds"] == ROUNDS
    assert verified(place, job.id)


def test_one_of_three_gone_for_good_is_named(place: Platform) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(rehearsal(place, ("bank-a", "bank-b", "bank-c"), 200, PATIENCE))
        kill_after_the_first_round(place, job.id, "bank-c")
        ended = await_end(client, job.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["code"] in {"too_few_contributors", "too_few_answers", "round_lost"}
    assert "bank-c" in ended.error["message"]
    assert "bank-a" not in ended.error["message"]


def test_those_who_came_back_take_part_again(place: Platform) -> None:
    """Neither the leaves of the failed job nor the dropout stand in the way of the next one."""
    for party in ("bank-c", "bank-d"):
        if not place.processes[party].alive:
            place.start(party)
    with place.client("bank-a") as client:
        job = client.jobs.submit(rehearsal(place, tuple(place.parties), 2, 30.0))
        ended = await_end(client, job.id)
    assert ended.state == "succeeded", ended.error
    assert (ended.report or {})["dropouts"] == []
    check_story(place, ended)
