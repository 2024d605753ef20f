"""`secureflow job questions` and `answer`: foreign text is plain, who asked is answered."""

from __future__ import annotations

import json
from typing import Any

JOB = {
    "id": "job_00000000", "project": "prj_00000000", "organisation": "bank-a", "name": "income",
    "submitter": "sam", "kind": "training", "script": "training/1", "spec": {}, "digest": "0" * 64,
    "state": "proposed", "created": 1_790_000_000, "updated": 1_790_000_000,
}  # fmt: skip
ASKED = {
    "job": "job_00000000", "organisation": "bank-b", "number": 1, "question": "Why?\x1b[2J",
    "asked": 1_790_000_000, "answer": "", "answered": None, "by": "",
}  # fmt: skip
ANSWERED = {**ASKED, "number": 2, "question": "How?", "answer": "So.\u202e",
            "answered": 1_790_000_100, "by": "usr_1"}  # fmt: skip


def test_a_job_that_waits_shows_what_its_owners_ask(centre: Any, cli: Any) -> None:
    centre.answers = {
        "GET /jobs/job_00000000": (200, JOB),
        "GET /jobs/job_00000000/questions": (200, {"items": [ASKED, ANSWERED]}),
    }
    code, out, err = cli("job", "show", "job_00000000")
    assert code == 0
    assert "bank-b asks: Why?" in err
    assert "How?" not in err  # it has its answer
    assert "secureflow job answer job_00000000" in err
    assert "\x1b" not in out + err
    code, out, _ = cli("job", "questions", "job_00000000")
    assert code == 0
    assert "not answered yet" in out
    assert "\u202e" not in out
    out = cli("job", "questions", "job_00000000", "-o", "json")[1]
    assert [one["number"] for one in json.loads(out)] == [1, 2]


def test_a_centre_that_knows_no_questions_shows_the_job(centre: Any, cli: Any) -> None:
    centre.answers = {"GET /jobs/job_00000000": (200, JOB)}
    assert cli("job", "show", "job_00000000")[0] == 0


def test_an_answer_is_sent_to_who_asked(centre: Any, cli: Any) -> None:
    centre.answers = {
        "GET /jobs/job_00000000": (200, JOB),
        "POST /jobs/job_00000000/answers": (200, ANSWERED),
    }
    code, _, err = cli("job", "answer", "job_00000000", "Because.", "--to", "bank-b")
    assert code == 0, err
    assert centre.asked[-1][2] == {"text": "Because.", "organisation": "bank-b"}
    assert "bank-b decides" in err
