"""A job file that names a job, or weights, to start from: what it leaves open is filled in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NAMED = {"id": "job_00000000", "name": "credit", "project": "prj_00000000", "kind": "training",
         "organisation": "bank-a", "submitter": "sam", "state": "succeeded", "digest": "0" * 64,
         "created": 1, "updated": 2}  # fmt: skip
MODELS = {1: "a" * 64, 2: "b" * 64, 3: "c" * 64}
UPLOAD = {"id": "upl_1", "project": "prj_00000000", "digest": "d" * 64, "layout": "e" * 64,
          "organisation": "bank-a", "uploader": "sam", "size": 8, "created": 1,
          "expires": 9}  # fmt: skip
RECIPE = {
    "job": "job_00000000",
    "spec": "a" * 64,
    "columns": [{"column": "age", "type": "number", "bounds": [0, 100]}],
    "steps": [{"step": "standardise", "columns": ["age"]}],
    "fits": [{"columns": {"age": {"mean": 40, "std": 20}}}],
    "outputs": [{"name": "age", "type": "number"}],
}


def ended(**document: Any) -> dict[str, Any]:
    """Return the audit bundle of a job of three rounds."""
    entries: list[dict[str, Any]] = [
        {
            "leaf": {"leaf": {"kind": "round.closed"}},
            "document": {"round": number, "stage": "train", "release": {"model": model}},
        }
        for number, model in MODELS.items()
    ]
    evaluated = {"round": 4, "stage": "evaluate", "release": {}}
    entries.append({"leaf": {"leaf": {"kind": "round.closed"}}, "document": evaluated})
    entries.append({"leaf": {"leaf": {"kind": "job.finished"}}, "document": document})
    return {"entries": entries}


@pytest.fixture(name="asked")
def _asked(centre: Any, cli: Any, tmp_path: Path) -> Any:
    """Check a job file; return exit code, what was said, and what the centre was asked."""
    centre.answers["GET /jobs"] = (200, {"items": [NAMED], "next": ""})
    centre.answers["GET /jobs/job_00000000/bundle"] = (200, ended())
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "d" * 64, "spec": {}})

    def check(text: str, *options: str) -> tuple[int, str, Any]:
        file = tmp_path / "job.yaml"
        file.write_text(f"project: prj_00000000\n{text}")
        centre.asked.clear()
        status, _, err = cli("job", "dry-run", file, *options)
        sent = [body for path, _, body in centre.asked if path == "POST /jobs/dry-run"]
        return status, err, sent[0] if sent else None

    return check


def test_a_recipe_is_named_by_its_job_and_goes_into_the_spec_whole(asked: Any, centre: Any) -> None:
    centre.answers["GET /jobs/job_00000000/recipe"] = (200, RECIPE)
    status, err, sent = asked("features: {recipe: credit, label: {column: y, positive: 'yes'}}\n")
    assert status == 0, err
    assert sent["features"]["recipe"]["job"] == "job_00000000"
    assert sent["features"]["numeric"] == [
        {"column": "age", "bounds": [-2.0, 3.0], "scale": "none"}
    ]
    assert "Its inputs are the 1 column that recipe" in err


def test_a_recipe_is_taken_from_a_file_beside_the_job_file(asked: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(RECIPE))
    status, err, sent = asked("features: {recipe: mine.json}\n")
    assert status == 0, err
    assert sent["features"]["recipe"]["job"] == "job_00000000"
    assert [one["column"] for one in sent["features"]["numeric"]] == ["age"]
    (tmp_path / "mine.json").write_text("[" * 100_000)
    status, err, sent = asked("features: {recipe: mine.json}\n")
    assert (status, sent) == (2, None)


def test_a_recipe_whose_fits_are_not_its_steps_is_refused(asked: Any, centre: Any) -> None:
    centre.answers["GET /jobs/job_00000000/recipe"] = (200, {**RECIPE, "fits": [{"columns": {}}]})
    status, err, sent = asked("features: {recipe: credit}\n")
    assert (status, sent) == (2, None)
    assert "The recipe is not valid" in err


@pytest.mark.parametrize(
    ("text", "options", "number"),
    [
        ("resume: credit\n", (), 3),
        ("resume: job_00000000\n", (), 3),
        ("resume: {job: credit}\n", (), 3),
        ("resume: {job: credit, round: 2}\n", (), 2),
        ("", ("--from", "credit"), 3),
        ("", ("--from", "credit@1"), 1),
    ],
)
def test_round_and_digest_are_those_of_the_jobs_log(
    asked: Any, text: str, options: tuple[str, ...], number: int
) -> None:
    status, err, sent = asked(text, *options)
    assert status == 0, err
    assert sent["resume"] == {"job": "job_00000000", "round": number, "model": MODELS[number]}
    assert f"{MODELS[number]}, which job_00000000 released in round {number}." in err


def test_the_kept_round_is_the_one_that_a_job_ended_with(asked: Any, centre: Any) -> None:
    centre.answers["GET /jobs/job_00000000/bundle"] = (200, ended(kept_round=2))
    assert asked("resume: credit\n")[2]["resume"]["round"] == 2
    centre.answers["GET /jobs/job_00000000/bundle"] = (200, {"entries": []})
    status, err, sent = asked("resume: credit\n")
    assert (status, sent) == (4, None)
    assert "Job job_00000000 released no model." in err


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (
            f"resume: {{job: credit, round: 9, model: {'f' * 64}}}\n",
            {"job": "job_00000000", "round": 9, "model": "f" * 64},
        ),
        (
            f"resume: {{job: credit, model: {'f' * 64}}}\n",
            {"job": "job_00000000", "model": "f" * 64},
        ),
        ("resume: {job: credit, round: two}\n", {"job": "job_00000000", "round": "two"}),
        ("resume: {round: 2}\n", {"round": 2}),
        ("resume: 7\n", 7),
    ],
)
def test_what_is_said_is_sent_as_it_is_said(asked: Any, text: str, sent: Any) -> None:
    """The centre compares it with its log, and refuses it by its fields."""
    assert asked(text)[2]["resume"] == sent


def test_a_name_or_a_round_that_there_is_not(asked: Any) -> None:
    status, err, _ = asked("resume: churn\n")
    assert (status, "There is no job named 'churn'" in err) == (4, True)
    assert "may be meant" not in err
    status, err, _ = asked("resume: credti\n")
    assert (status, "credit may be meant" in err) == (4, True)
    assert "secureflow job list" in err
    status, err, _ = asked("resume: {job: credit, round: 7}\n")
    assert (status, "released no model in round 7" in err) == (4, True)
    assert asked("", "--from", "credit@last")[0] == 2
    assert asked("", "--from", "@3")[0] == 2


def test_the_tensors_of_an_upload_are_filled_in(asked: Any, centre: Any) -> None:
    uploads = "GET /models/uploads?project=prj_00000000"
    centre.answers[uploads] = (200, {"items": [UPLOAD], "next": ""})
    whole = {"model": "d" * 64, "layout": "e" * 64}
    for text in (f"initial: {'d' * 64}\n", "initial: upl_1\n", "initial: {model: upl_1}\n"):
        assert asked(text)[2]["initial"] == whole
    other = {"model": "d" * 64, "layout": "f" * 64}
    assert asked(f"initial: {{model: {'d' * 64}, layout: {'f' * 64}}}\n")[2]["initial"] == other
    status, err, _ = asked("initial: credit\n")
    assert (status, "no uploaded weights 'credit'" in err) == (4, True)
    assert "`resume: JOB`" in err
    twice = [UPLOAD, {**UPLOAD, "id": "upl_2", "layout": "f" * 64}]
    centre.answers[uploads] = (200, {"items": twice, "next": ""})
    assert "ambiguous_name" in asked(f"initial: {'d' * 64}\n")[1]
    assert asked("initial: upl_1\n")[2]["initial"] == whole
