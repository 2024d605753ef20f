"""`secureflow queue`, and the times and priorities of `job submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from secureflow.cli.queue import timing, unix_seconds

LINES = [
    {"job": "job_1", "organisation": "bank-a", "user": "ada", "priority": 5, "since": 1,
     "not_before": 0, "started": True, "ahead": 0, "waits_for": ""},
    {"job": "job_2", "organisation": "bank-a", "user": "ada", "priority": 3, "since": 2,
     "not_before": 0, "started": False, "ahead": 1, "waits_for": "of_user"},
    {"job": "job_3", "organisation": "bank-a", "user": "bob", "priority": 5, "since": 2,
     "not_before": 1_900_000_000, "started": False, "ahead": 0, "waits_for": "time"},
]  # fmt: skip


def test_the_queue_says_who_waits_for_what(centre: Any, cli: Any) -> None:
    centre.answers["GET /queue"] = (200, {"items": LINES})
    status, out, err = cli("queue", "list")
    assert status == 0, err
    runs, waits, timed = out.splitlines()[-3:]
    assert "runs" in runs
    assert "a free place of its submitter" in waits
    assert "its time: 2030-03-1" in timed


def test_a_time_has_a_zone_or_is_of_here() -> None:
    assert unix_seconds("2030-01-31T02:00+08:00") == unix_seconds("2030-01-30T18:00Z")
    here = unix_seconds("2030-01-31T02:00")
    assert abs(here - unix_seconds("2030-01-31T02:00Z")) <= 14 * 3600


@pytest.mark.parametrize("text", ["tomorrow", "25:00", "2030-13-01", "\x1b[2J"])
def test_what_is_no_time_is_refused_without_its_control_characters(text: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        unix_seconds(text)
    assert "\x1b" not in str(caught.value)


def test_options_stand_for_members_of_the_job_file() -> None:
    assert timing("", None) == {}
    assert timing("2030-01-31T02:00Z", 3) == {"not_before": 1_896_055_200, "priority": 3}


def test_a_submitted_job_carries_them(centre: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("project: prj_00000000\n")
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "d" * 64, "spec": {}})
    status, _, err = cli("job", "dry-run", file, "--at", "2030-01-31T02:00Z", "-o", "json")
    assert status == 0, err
    assert centre.asked[-1][2]["not_before"] == 1_896_055_200
