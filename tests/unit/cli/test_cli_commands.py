"""Commands against a scripted server: results on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

import secureflow.cli.users
from secureflow.cli.console import moment
from secureflow.sdk.profile import Profile, load_profile, profile_path, save_profile

ACCOUNT = {"id": "usr_00000000", "name": "sam", "organisation": "bank-a", "roles": ["auditor"]}
JOB = {
    "id": "job_00000000", "project": "prj_00000000", "organisation": "bank-a", "name": "income",
    "submitter": "sam", "kind": "training", "script": "training/1", "spec": {}, "digest": "0" * 64,
    "state": "running", "created": 1_790_000_000, "updated": 1_790_000_000,
}  # fmt: skip
ROUND = (
    b'id: 1\nevent: state\ndata: {"state": "running"}\n\n'
    b'id: 2\nevent: round\ndata: {"round": 1, "rounds": 2, "loss": 0.5, "auc": 0.875}\n\n'
    b'id: 3\nevent: party\ndata: {"party": "bank-a", "state": "training"}\n\n'
    b"id: 4\nevent: done\ndata: {}\n\n"
)


def test_results_come_as_table_json_and_yaml(centre: Any, cli: Any) -> None:
    centre.answers["GET /jobs?newest=1"] = (200, {"items": [JOB], "next": ""})
    code, out, err = cli("job", "list")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split()[:3] == ["id", "name", "kind"]
    assert "job_00000000  income  training  running" in out
    listed = json.loads(cli("job", "list", "-o", "json")[1])
    summary = {name: value for name, value in JOB.items() if name not in {"spec", "script"}}
    assert listed == [summary | {"error": None, "progress": {}}]
    assert yaml.safe_load(cli("job", "list", "-o", "yaml")[1])[0]["name"] == "income"
    assert centre.asked[0][1]["Authorization"] == "Bearer sft_test"


def test_jobs_are_listed_from_the_newest(centre: Any, cli: Any) -> None:
    older, newer = JOB, JOB | {"id": "job_00000001"}
    centre.answers["GET /jobs?newest=1"] = (200, {"items": [newer, older], "next": ""})
    listed = json.loads(cli("job", "list", "-o", "json")[1])
    assert [job["id"] for job in listed] == ["job_00000001", "job_00000000"]


def test_a_first_password_comes_from_a_file_and_never_from_an_argument(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    centre.answers["POST /users"] = (201, ACCOUNT)
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    password.chmod(0o600)
    assert cli("user", "create", "ann", "--password-file", password)[0] == 0
    assert centre.asked[-1][2]["password"] == "hunter2"
    assert cli("user", "create", "ann", "--password", "hunter2")[0] == 2


def test_login_keeps_a_private_profile_and_logout_forgets_the_token(
    centre: Any, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECUREFLOW_TOKEN")
    monkeypatch.delenv("SECUREFLOW_URL")
    session = {"token": "sft_secret", "expires": 1_790_000_000, "user": ACCOUNT}
    centre.answers |= {"POST /login": (200, session), "GET /me": (200, ACCOUNT)}
    centre.answers["POST /logout"] = (200, {})
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    password.chmod(0o600)
    code, out, err = cli("login", centre.url, "--name", "sam", "--password-file", password)
    assert (code, out) == (0, "")
    assert "sft_secret" not in err
    assert centre.asked[0][2] == {"name": "sam", "password": "hunter2", "refresh": True}
    assert stat.S_IMODE(profile_path().stat().st_mode) == 0o600
    assert cli("user", "me")[0] == 0
    assert centre.asked[-1][1]["Authorization"] == "Bearer sft_secret"
    assert cli("logout")[0] == 0
    assert load_profile().token == ""
    assert cli("user", "me")[0] == 3


def test_a_token_is_not_sent_to_another_server(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECUREFLOW_TOKEN")
    profile_path().parent.mkdir()
    save_profile(Profile("https://other.example", token="sft_other"))
    assert cli("user", "me")[0] == 3
    assert not centre.asked


@pytest.mark.parametrize(
    "arguments", [["job", "nope"], ["job", "show"], ["job", "list", "-o", "x"]]
)
def test_wrong_usage_is_2(cli: Any, arguments: list[str]) -> None:
    code, out, err = cli(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage" in err


def test_a_server_that_is_away_is_6(cli: Any, monkeypatch: pytest.MonkeyPatch, centre: Any) -> None:
    centre.close()
    monkeypatch.setattr("secureflow.sdk.drivers.time.sleep", lambda _: None)
    code, _, err = cli("user", "me")
    assert code == 6
    assert err.startswith("unavailable: ")


def test_a_defect_of_ours_is_one_line_and_70(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(secureflow.cli.users, "client", broken)
    code, _, err = cli("user", "me")
    assert code == 70
    assert err == "internal: ZeroDivisionError: oh → SECUREFLOW_DEBUG=1 shows where.\n"
    monkeypatch.setenv("SECUREFLOW_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli("user", "me")


def test_submit_and_watch_to_a_failure(centre: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("project: prj_00000000\nname: income\nplan: {rounds: 2}\n")
    error = {"code": "round_lost", "message": "bank-b lost round 2.", "hint": "Submit again."}
    centre.answers["POST /jobs"] = (201, JOB)
    centre.answers["GET /jobs/job_00000000/events"] = (200, ROUND)
    centre.answers["GET /jobs/job_00000000"] = (200, JOB | {"state": "failed", "error": error})
    code, out, err = cli("job", "submit", file, "--watch")
    assert (code, out) == (8, "")
    assert centre.asked[0][2] == {
        "project": "prj_00000000",
        "name": "income",
        "plan": {"rounds": 2},
    }
    assert "round 1/2  loss 0.5000  auc 0.8750" in err
    assert err.splitlines()[-1] == "round_lost: bank-b lost round 2. → Submit again."


def test_showing_a_job_says_why_it_ended_in_one_sentence(centre: Any, cli: Any) -> None:
    message = "bank-b refused: not for this purpose. bank-a had approved."
    error = {"code": "consent_refused", "message": message, "hint": "Ask the data owner.",
             "details": {"failures": {"bank-b": {"message": message}}}}  # fmt: skip
    centre.answers["GET /jobs/job_00000000"] = (200, JOB | {"state": "failed", "error": error})
    out = cli("job", "show", "job_00000000")[1]
    assert f"consent_refused: {message} → Ask the data owner." in out
    assert out.count("not for this purpose") == 1
    assert "details" in cli("job", "show", "job_00000000", "-o", "json")[1]


def test_showing_a_job_says_who_waits(centre: Any, cli: Any) -> None:
    message = "The disk of bank-b is full: its model files need 5.0 MB, 2.0 MB are free."
    waiting = [{"party": "bank-b", "since": 1_790_000_000, "code": "disk_full", "message": message}]
    job = JOB | {"progress": {"round": 1, "waiting": waiting}}
    centre.answers["GET /jobs/job_00000000"] = (200, job)
    out = " ".join(cli("job", "show", "job_00000000")[1].split())
    assert f"bank-b has been waiting since {moment(1_790_000_000)}: {message}" in out
    assert json.loads(cli("job", "show", "job_00000000", "-o", "json")[1])["progress"] == {
        "round": 1, "waiting": waiting,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["- a\n", "a: [", "\x00", "{1: 2}", "!!python/object:os.system {}"]
)
def test_a_job_file_that_is_none(centre: Any, cli: Any, tmp_path: Path, text: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    code, _, err = cli("job", "submit", file)
    assert code == 2
    assert err.startswith("invalid_file: ")
    assert len(err.splitlines()) == 1
    assert not centre.asked


def test_a_paused_job_is_resumed_by_name(centre: Any, cli: Any) -> None:
    centre.answers["POST /jobs/job_00000000/resume"] = (200, JOB | {"state": "running"})
    code, _, err = cli("job", "resume", "job_00000000")
    assert (code, err) == (0, "job_00000000 continues.\n")
    detail = "Job job_00000000 was resumed 5 times and paused again each time."
    refusal = {"code": "resumed_too_often", "detail": detail, "hint": "", "details": {}}
    centre.answers["POST /jobs/job_00000000/resume"] = (409, refusal)
    code, _, err = cli("job", "resume", "job_00000000")
    assert code == 5
    assert "resumed_too_often" in err


def test_cancelling_needs_a_yes(centre: Any, cli: Any) -> None:
    centre.answers["POST /jobs/job_00000000/cancel"] = (200, JOB)
    code, _, err = cli("job", "cancel", "job_00000000")
    assert code == 2
    assert err.startswith("not_confirmed")
    assert not centre.asked
    code, _, err = cli("job", "cancel", "job_00000000", "--yes")
    assert code == 0
    assert "will be cancelled" in err  # its driver ends it
    centre.answers["POST /jobs/job_00000000/cancel"] = (200, JOB | {"state": "cancelled"})
    assert "is cancelled." in cli("job", "cancel", "job_00000000", "--yes")[2]


def test_an_enrolment_token_can_go_straight_to_a_private_file(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    issued = {"id": "enr_00000000", "token": "sfe_secret", "organisation": "bank-a"}
    centre.answers["POST /enrolments"] = (201, issued)
    file = tmp_path / "token"
    code, out, err = cli("enrolment", "create", "bank-a", "--save", file)
    assert code == 0
    assert "sfe_secret" not in out + err
    assert file.read_text() == "sfe_secret\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    asked = len(centre.asked)
    assert cli("enrolment", "create", "bank-a", "--save", file)[0] == 2
    assert len(centre.asked) == asked  # nor is one made that nobody could read


def test_no_enrolment_token_is_made_where_its_file_does_not_fit(
    centre: Any, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "token"
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        code, _, err = cli("enrolment", "create", "bank-a", "--save", file)
    assert (code, err) == (2, f"invalid_request: {file}: No space left on device.\n")
    assert not centre.asked
    centre.answers["POST /enrolments"] = (403, {"code": "forbidden", "detail": "No."})
    assert cli("enrolment", "create", "bank-a", "--save", file)[0] == 3
    assert not file.exists()


def test_a_project_shows_its_members(centre: Any, cli: Any) -> None:
    members = [{"organisation": "bank-a", "state": "active", "since": 1}]
    project = {"id": "prj_00000000", "name": "p", "purpose": "credit", "organisation": "bank-a"}
    project |= {"members": members, "created": 1}
    centre.answers["GET /projects/prj_00000000"] = (200, project)
    assert "bank-a (active)" in cli("project", "show", "prj_00000000")[1]


def test_a_question_that_nobody_answers_is_an_interrupt(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", _end_of_input)
    code, out, _ = cli("user", "create", "ann")
    assert (code, out) == (130, "")
    assert centre.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "create", "ann"],
        ["user", "password"],
        ["login", "--name", "ann"],
        ["login"],
    ],
)
def test_without_a_terminal_the_option_is_named(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, out, err = cli(*arguments)
    assert (code, out, centre.asked) == (2, "", [])
    assert err.startswith("no_terminal: ")
    assert "-file FILE" in err


def test_a_password_is_changed_from_files(centre: Any, cli: Any, tmp_path: Path) -> None:
    centre.answers["POST /me/password"] = (200, {})
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("hunter2\n")
    new.write_text("hunter3\n")
    old.chmod(0o600)
    new.chmod(0o600)
    assert cli("user", "password", "--old-file", old, "--new-file", new)[0] == 0
    assert centre.asked[-1][2] == {"old": "hunter2", "new": "hunter3"}


class Terminal(io.StringIO):
    """A stdin that a person sits at."""

    def isatty(self) -> bool:
        return True


def _end_of_input(*_: object, **__: object) -> str:
    raise EOFError
