"""`job statistics`: what is asked of the server, and how answers are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.full import thinned
from tests.unit.cli.test_cli_commands import JOB

VALUES = thinned(
    ["x\u202e", True, 3, [5], [], {"a": 1}, [[]], {}, None, 10**400], 5, pytest.mark.full
)
"""What a centre may say in the place of something else."""

ASK = ("job", "statistics", "--project", "prj_0", "--purpose", "research")
DRY = {
    "digest": "d" * 64,
    "spec": {},
    "notes": ["The sum needs all 3 contributors: it does not survive a dropout."],
    "details": {
        "privacy": {"unit": "record", "noise_multiplier": 7.5, "epsilon": {"rdp-cks20": 0.99}},
        "expected": [
            {"name": "count", "measure": "count", "rows": 1000, "standard_error": 13.0},
            {"name": "mean-age", "measure": "mean", "rows": 1000, "standard_error": None},
        ],
    },
}
ROW = {
    "group": None, "cell": None, "quantile": None, "value": 812.25, "standard_error": 13.0,
    "low": 786.7, "high": 837.7, "reason": "",
}  # fmt: skip
ANSWERS = [
    {"name": "count", "measure": "count", "column": None, "by": None, "rows": [ROW]},
    {
        "name": "mean-age", "measure": "mean", "column": "age", "by": "sex",
        "rows": [
            {**ROW, "group": "f", "value": 41.5},
            {**ROW, "group": "x", "value": None, "reason": "too_few_rows"},
        ],
    },
]  # fmt: skip


@pytest.fixture(autouse=True)
def _answers(centre: Any) -> None:
    datasets = [
        {"id": f"dst_{n}", "organisation": f"bank-{n}", "name": "people", "title": "People",
         "columns": [], "rows": "<1k", "commitment": "", "created": 1,
         "privacy": {"unit": "person", "rows_per_person": 3}}
        for n in "abc"
    ]  # fmt: skip
    centre.answers["GET /datasets?project=prj_0"] = (200, {"items": datasets, "next": ""})
    centre.answers["GET /datasets/dst_a"] = (200, datasets[0])
    centre.answers["POST /jobs/dry-run"] = (200, DRY)
    centre.answers["POST /jobs"] = (201, JOB)
    report = {"job": "job_00000000", "state": "succeeded", "answers": ANSWERS}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, report)


def test_a_dry_run_tells_the_jobs_epsilon_apart_from_what_is_charged(centre: Any, cli: Any) -> None:
    """The first is that of the job's explanation and report."""
    priced = {"rdp-cks20": 0.4988, "rdp-filter": 0.5816, "pld": 0.4612}
    privacy = {**DRY["details"]["privacy"], "epsilon": priced, "budget_conversion": "rdp-filter"}
    centre.answers["POST /jobs/dry-run"] = (200, {**DRY, "details": {"privacy": privacy}})
    _, out, _ = cli("job", "statistics", "--project", "prj_0", "--purpose", "research",
                    "--query", "count", "--epsilon", 0.5, "--dry-run")  # fmt: skip
    told = dict(line.split() for line in out.splitlines() if line.startswith("epsilon"))
    assert told == {"epsilon": "0.4988", "epsilon_charged": "0.5816", "epsilon_pld": "0.4612"}


def test_a_dry_run_over_every_granted_dataset(centre: Any, cli: Any) -> None:
    code, out, err = cli(
        *ASK, "--query", "count", "--query", "mean:age:by=sex", "--epsilon", 1, "--dry-run"
    )
    assert (code, centre.asked[-1][0]) == (0, "POST /jobs/dry-run")
    body = centre.asked[-1][2]
    assert body["datasets"] == ["dst_a", "dst_b", "dst_c"]
    assert body["queries"][1] == {
        "name": "mean-age-by-sex", "measure": "mean", "column": "age", "by": "sex", "bins": 64,
        "quantiles": [],
    }  # fmt: skip
    assert (body["privacy"]["epsilon"], body["privacy"]["noise"]) == (1.0, "shared")
    assert re.search(r"noise_multiplier +7\.5\n", out)
    assert "- The sum needs all 3 contributors" in out, "a note stands on a line of its own"
    assert "does not survive a dropout" in out
    assert [line.split() for line in out.splitlines() if " 1000" in line] == [
        ["count", "count", "1000", "13"], ["mean-age", "mean", "1000"],
    ]  # fmt: skip
    assert "noise alone" in err


def test_named_datasets_and_other_noise(centre: Any, cli: Any) -> None:
    code, out, _ = cli(
        *ASK, "--query", "count", "--dataset", "dst_a", "--dataset", "dst_b", "--dataset", "dst_c",
        "--noise", "party", "--mechanism", "laplace", "--library", "pydp",
        "--noise-multiplier", 3, "--delta", 1e-7, "--name", "rows",
    )  # fmt: skip
    assert code == 0
    assert "job_00000000" in out
    (asked,) = centre.asked
    assert asked[2]["privacy"] == {
        "delta": 1e-7, "noise": "party", "mechanism": "laplace", "library": "pydp",
        "noise_multiplier": 3.0, "epsilon": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("--query", "median:age", "--epsilon", 1),
        ("--query", "count", "--epsilon", -1),
        ("--query", "count", "--epsilon", 1, "--noise", "none"),
    ],
)
def test_what_cannot_be_asked_asks_nobody(centre: Any, cli: Any, arguments: Any) -> None:
    code, _, err = cli(*ASK, *arguments)
    assert (code, centre.asked) == (2, [])
    assert err.startswith("invalid_request: ")


def test_waiting_shows_the_answers(centre: Any, cli: Any) -> None:
    centre.answers["GET /jobs/job_00000000/events"] = (200, b"")
    centre.answers["GET /jobs/job_00000000"] = (200, JOB | {"state": "succeeded"})
    code, out, err = cli(*ASK, "--query", "count", "--epsilon", 1, "--watch")
    assert code == 0
    assert err.startswith("job_00000000: submitted")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["query", "group", "value", "low", "high", "standard_error", "reason"]
    assert lines[1] == ["count", "812", "787", "838", "13"]
    assert lines[2][:3] == ["mean-age", "f", "42"]
    assert lines[3][-1] == "too_few_rows"
    assert "Every value has noise" in out


def test_a_report_has_its_answers_below(cli: Any) -> None:
    code, out, _ = cli("job", "report", "job_00000000")
    assert code == 0
    assert "812" in out
    assert json.loads(cli("job", "report", "job_00000000", "-o", "json")[1])["answers"] == ANSWERS


def test_a_job_file_may_be_of_statistics(centre: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("kind: statistics\nproject: prj_0\nqueries: [{name: n, measure: count}]\n")
    assert cli("job", "submit", file)[0] == 0
    assert centre.asked[-1][0] == "POST /jobs"
    assert cli("job", "dry-run", file)[0] == 0
    assert centre.asked[-1][0] == "POST /jobs/dry-run"
    assert centre.asked[-1][2] == {
        "kind": "statistics", "project": "prj_0", "queries": [{"name": "n", "measure": "count"}],
    }  # fmt: skip


def test_a_dataset_shows_its_unit_and_bound(cli: Any) -> None:
    assert "kept per person; at most 3 rows of each count" in cli("data", "show", "dst_a")[1]


def test_a_dataset_shows_the_key_by_which_rows_can_be_held_out(cli: Any, centre: Any) -> None:
    assert "hold its rows out by person" in cli("data", "show", "dst_a")[1]
    dataset = centre.answers["GET /datasets/dst_a"][1]
    keyed = {**dataset, "privacy": None, "key": "account_id"}
    centre.answers["GET /datasets/dst_a"] = (200, keyed)
    out = cli("data", "show", "dst_a")[1]
    assert "hold its rows out by the key in the column account_id" in out
    centre.answers["GET /datasets/dst_a"] = (200, {**keyed, "key": None})
    assert "hold its rows" not in cli("data", "show", "dst_a")[1]


@pytest.mark.parametrize("value", [*VALUES, 1e305])
@pytest.mark.parametrize("place", ["answers", "name", "measure", "rows", "row", "value",
                                   "standard_error", "low", "group", "cell", "reason"])  # fmt: skip
def test_no_answers_of_a_centre_end_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    row = {**ROW, "standard_error": 2.5, "value": 7.0, place: value}
    answer = {**ANSWERS[0], "rows": [value if place == "row" else row]}
    if place in answer:
        answer[place] = value
    report = {"answers": value if place == "answers" else [answer]}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, report)
    code, out, err = cli("job", "report", "job_00000000")
    assert (code, "\u202e" in out) == (0, False), err


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "place", ["protection", "rounds", "disclosure", "attacks", "privacy", "fitted", "points",
              "choosing", "dropouts", "texts", "released", "epsilon", "fit"]
)  # fmt: skip
def test_no_explanation_of_a_centre_ends_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    told = {"rounds": 2, "privacy": {"epsilon": 1.5, place: value},
            "fitted": [{"step": 1, "name": "woe", "column": "age", "fit": {place: value}}],
            "points": [{"point": 1, "sets": {}}], place: value}  # fmt: skip
    centre.answers["GET /jobs/job_00000000/explain"] = (200, told)
    code, out, err = cli("job", "explain", "job_00000000")
    assert (code, "\u202e" in out) == (0, False), err
