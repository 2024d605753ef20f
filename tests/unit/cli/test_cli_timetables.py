"""`job submit --every`, `secureflow timetable`, and what an owner reads before approving one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from secureflow.agent.owner.inbox import item_id
from secureflow.agent.record.records import InboxItem
from secureflow.cli.decision import PendingRequest, screen
from secureflow.cli.kinds import CLI_KINDS
from secureflow.cli.timespans import spelled
from secureflow.cli.timetables import span, times_of
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.timetable import TimetableSpec
from tests.unit.cli.test_cli_commands import JOB as ANSWER
from tests.unit.cli.test_cli_inbox import COMMON, HERE

JOB = "job_1m8nje847evwjh6gfj1c"
DAY = 86_400
FILE = """project: prj_00000000
name: nightly
purpose: scoring
datasets: [dst_00000000]
kind: statistics
queries: [{name: rows, measure: count}]
privacy: {epsilon: 0.1, delta: 1e-6}
"""
VIEW = {
    "job": JOB, "name": "nightly", "project": "prj_1", "organisation": "bank-a",
    "submitter": "ada", "state": "running", "of": "statistics", "first": 1_900_000_000,
    "every": DAY, "runs": 30, "window": 3600, "last_at": 1_900_000_000 + 29 * DAY, "next_run": 3,
    "next_at": 1_900_000_000 + 2 * DAY, "paused_by": "bob",
    "last": [
        {"run": 1, "at": 1_900_000_000, "job": "job_1m8nje847fvwjh6gfj1c", "state": "succeeded"},
        {"run": 2, "at": 1_900_000_000 + DAY, "job": "x", "state": "skipped", "why": "paused"},
    ],
}  # fmt: skip


def test_a_span_is_written_as_it_is_read() -> None:
    spans = {"10m": 600, "6h": 21_600, "1d": DAY, "2w": 14 * DAY}
    assert {text: span(text) for text in spans} == spans
    assert [spelled(seconds) for seconds in spans.values()] == list(spans)
    assert spelled(90 * 60) == "90m"


@pytest.mark.parametrize("text", ["", "d", "1y", "-1d", "1.5h", "1d 2h", "\x1b[2J", "9999999d"])
def test_what_is_no_span_is_refused_without_its_control_characters(text: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        span(text)
    assert "\x1b" not in str(caught.value)


def test_consent_is_for_a_number_of_runs() -> None:
    assert times_of("", "", None, "", "") == {}
    assert times_of("", "1d", 30, "", "1h") == {"every": DAY, "runs": 30, "window": 3600}
    at, until = "2030-01-01T02:00Z", "2030-01-31T02:00Z"
    assert times_of(at, "1d", None, until, "") == {"every": DAY, "runs": 31}


@pytest.mark.parametrize(
    "given",
    [("", "1d", None, "", ""), ("", "1d", 3, "2030-01-01", ""), ("", "", 3, "", ""),
     ("2030-01-02", "1d", None, "2030-01-01", ""), ("2030-01-01", "10m", None, "2031-01-01", "")],
    ids=str,
)  # fmt: skip
def test_without_one_it_is_refused(given: Any) -> None:
    with pytest.raises(typer.BadParameter):
        times_of(*given)


def test_a_job_file_is_submitted_as_a_timetable(centre: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(FILE)
    centre.answers["GET /datasets"] = (200, {"items": [], "next": ""})
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "d" * 64, "spec": {}})
    status, _, err = cli(
        "job", "dry-run", file, "--every", "1d", "--runs", "30", "--at", "2030-01-31T02:00Z",
        "-o", "json",
    )  # fmt: skip
    assert status == 0, err
    sent = centre.asked[-1][2]
    assert sent["kind"] == "timetable"
    assert sent["not_before"] == 1_896_055_200
    assert sent["timetable"] == {"every": DAY, "runs": 30, "stop_on_failure": False}
    assert sent["run"]["kind"] == "statistics"
    assert set(sent["run"]) == {"kind", "queries", "privacy"}
    assert parse(SPEC_KINDS["timetable"].request, sent)
    times = {"first": 1_896_055_200, "every": DAY, "runs": 30, "window": 3600, "of": "statistics"}
    answer = {"digest": "d" * 64, "spec": {}, "details": {"timetable": times}}
    centre.answers["POST /jobs/dry-run"] = (200, answer)
    _, out, _ = cli("job", "dry-run", file, "--every", "1d", "--runs", "30")
    assert "30 runs, every 1d, from 2030-01-31" in " ".join(out.split())


def test_the_newest_runs_say_why_one_was_left_out(centre: Any, cli: Any) -> None:
    centre.answers[f"GET /timetables/{JOB}"] = (200, VIEW)
    status, out, err = cli("timetable", "show", JOB)
    assert status == 0, err
    assert "left out: the timetable was paused" in out
    assert "1d" in out
    assert "bob" in out
    centre.answers["GET /timetables"] = (200, {"items": [VIEW], "next": ""})
    status, out, err = cli("timetable", "list")
    assert status == 0, err
    assert JOB in out


def test_a_report_lists_the_runs(centre: Any, cli: Any) -> None:
    runs = [*VIEW["last"], {"run": "\x1b[2J", "at": "no time", "state": 7}, "no run"]
    report = {"job": JOB, "state": "succeeded", "runs": runs}
    centre.answers[f"GET /jobs/{JOB}/report?format=json"] = (200, report)
    status, out, err = cli("job", "report", JOB)
    assert status == 0, err
    assert "job_1m8nje847fvwjh6gfj1c" in out
    assert "\x1b[2J" not in out


def test_it_is_paused_taken_up_and_cancelled(centre: Any, cli: Any) -> None:
    centre.answers[f"POST /timetables/{JOB}/pause"] = (200, VIEW)
    centre.answers[f"POST /timetables/{JOB}/resume"] = (200, {**VIEW, "paused_by": ""})
    centre.answers[f"GET /timetables/{JOB}"] = (200, VIEW)
    centre.answers[f"POST /jobs/{JOB}/cancel"] = (200, ANSWER | {"id": JOB})
    for given in (("pause",), ("resume",), ("cancel", "--yes")):
        status, _, err = cli("timetable", given[0], JOB, *given[1:])
        assert status == 0, err


def timetable() -> TimetableSpec:
    run = {
        **COMMON, "kind": "statistics", "min_contributors": 3, "contributions": 1,
        "queries": [{"name": "rows", "measure": "count"}], "columns": [],
        "privacy": {"delta": 1e-6, "noise_multiplier": 20.0},
    }  # fmt: skip
    times = {"first": 1_900_000_000, "every": DAY, "runs": 30, "window": 3600}
    common = {"delta": 1e-6, "unit": "record", "noise": "shared"}
    spec = parse(StatisticsSpec, run)
    value = {**COMMON, "job": dump(spec), "timetable": times, "privacy": common}
    return parse(TimetableSpec, value)


def test_the_owner_reads_when_how_often_and_what_all_of_it_costs() -> None:
    spec = timetable()
    asked = {"dataset": "customers", "columns": [], "epsilon": 2.5}
    digest, reasons, expires = spec_digest(spec), ("no policy decides",), 1_900_000_000
    item = item_id(JOB, digest, asked, reasons, expires)
    waiting = InboxItem(
        item, JOB, digest, asked, dump(spec), reasons, "waiting", 1_800_000_000, expires
    )
    lines = " ".join(screen(PendingRequest(waiting, {"here": HERE}), CLI_KINDS, width=400))
    assert "30 runs, every 1d, from 2030-03-1" in lines
    assert "ONE APPROVAL COVERS ALL OF THEM" in lines
    assert "30 runs in all: ε" in lines
    assert "again and again: statistics: count" in lines
    assert "masked; only their total can be opened" in lines
