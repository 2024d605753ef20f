"""Every exit code that docs/cli.md lists is walked; results on stdout, all else on stderr."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import secureflow.cli.users
from secureflow.cli.main import exit_code
from secureflow.domain.errors import CATALOGUE, Category
from secureflow.domain.exits import EXITS
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned
from tests.unit.engines.ledger.test_bundle import HONEST

JOB = {
    "id": "job_00000000", "project": "prj_00000000", "organisation": "bank-a", "name": "income",
    "submitter": "sam", "kind": "training", "script": "training/1", "spec": {}, "digest": "0" * 64,
    "state": "running", "created": 1_790_000_000, "updated": 1_790_000_000,
}  # fmt: skip
DONE = (200, b"id: 1\nevent: done\ndata: {}\n\n")
_CODE_OF = {kind: code for code, kind in reversed(CATALOGUE.items())}
DOCUMENTED = [
    (_CODE_OF[kind], one.code) for one in EXITS for kind in one.categories if kind in _CODE_OF
]

CHECK = "Check the path, who owns it, and the free space."


@pytest.mark.parametrize(
    ("code", "expected"), [*DOCUMENTED, ("cancelled", 5), ("a_code_of_a_later_server", 8)]
)
def test_a_refusal_ends_with_the_code_of_its_category(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch, code: str, expected: int
) -> None:
    monkeypatch.setattr("secureflow.sdk.drivers.time.sleep", lambda _: None)
    told = {"code": code, "detail": "Bank A\ndid it.", "hint": "Ask bank A."}
    centre.answers["GET /jobs/job_00000000"] = (400, told)
    found, out, err = cli("job", "show", "job_00000000")
    assert (found, out) == (expected, "")
    assert err == f"{code}: Bank A did it. → Ask bank A.\n"


def test_every_category_and_every_code_has_an_exit_code() -> None:
    assert {kind for one in EXITS for kind in one.categories} == set(Category)
    listed = {one.code for one in EXITS}
    assert {exit_code(SecureFlowError(code, "")) for code in CATALOGUE} <= listed
    assert len(listed) == len(EXITS)


def test_the_page_lists_every_exit_code() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text()
    for one in EXITS:
        assert f"| {one.code} | {one.meaning} |" in page


@pytest.mark.parametrize("cause", [code for code, _ in DOCUMENTED])
@pytest.mark.parametrize("command", ["watch", "wait"])
def test_a_job_that_failed_is_8_whatever_its_reason(
    centre: Any, cli: Any, command: str, cause: str
) -> None:
    error = {"code": cause, "message": "Bank B did it.", "hint": "Ask bank B."}
    centre.answers["GET /jobs/job_00000000/events"] = DONE
    centre.answers["GET /jobs/job_00000000"] = (200, JOB | {"state": "failed", "error": error})
    code, out, err = cli("job", command, "job_00000000")
    assert (code, out) == (8, "")
    assert err.splitlines()[-1] == f"{cause}: Bank B did it. → Ask bank B."


@pytest.mark.parametrize(("state", "expected"), [("succeeded", 0), ("cancelled", 8), ("failed", 8)])
def test_waiting_shows_the_job_on_stdout(centre: Any, cli: Any, state: str, expected: int) -> None:
    centre.answers["GET /jobs/job_00000000/events"] = DONE
    centre.answers["GET /jobs/job_00000000"] = (200, JOB | {"state": state})
    code, out, err = cli("job", "wait", "job_00000000", "--timeout", 60)
    assert code == expected
    assert ("job_00000000" in out, bool(err)) == (state == "succeeded", state != "succeeded")


def test_waiting_for_a_paused_job_says_why_and_is_5(centre: Any, cli: Any) -> None:
    error = {"code": "script_changed", "message": "It cannot go on.", "hint": "Ask them."}
    paused = b'id: 1\nevent: state\ndata: {"state": "paused"}\n\n'
    centre.answers["GET /jobs/job_00000000/events"] = (200, paused)
    centre.answers["GET /jobs/job_00000000"] = (200, JOB | {"state": "paused", "error": error})
    code, out, err = cli("job", "wait", "job_00000000")
    assert (code, out) == (5, "")
    first, second = err.splitlines()
    assert first == "job_00000000 is paused: script_changed: It cannot go on. → Ask them."
    assert second.startswith("job_paused: ")
    assert "secureflow job resume job_00000000" in second


def test_a_job_that_does_not_end_in_time_is_6(centre: Any, cli: Any) -> None:
    centre.answers["GET /jobs/job_00000000/events"] = (200, b"")
    centre.answers["GET /jobs/job_00000000"] = (200, JOB)
    code, out, err = cli("job", "wait", "job_00000000", "--timeout", 0.2)
    assert (code, out) == (6, "")
    assert err.startswith("timed_out: ")


def test_an_interrupt_is_130(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(secureflow.cli.users, "client", interrupted)
    assert cli("user", "me")[0] == 130


def test_an_interrupt_in_the_middle_of_an_import_is_130(tmp_path: Path) -> None:
    """`python -m` would end by SIGINT: dataclasses execute texts, and CPython notes those."""
    (tmp_path / "interrupted.py").write_text(
        "from secureflow.cli import main\n"
        "main._call = lambda *_: exec('raise KeyboardInterrupt')\n"
        "main.main()\n"
    )
    ended = subprocess.run([sys.executable, "-m", "interrupted"], cwd=tmp_path, check=False)
    assert ended.returncode == 130


@pytest.mark.parametrize("process", ["server", "enclave", "agent"])
def test_processes_end_with_the_same_codes(cli: Any, tmp_path: Path, process: str) -> None:
    code, out, err = cli(process, "start", "--config", tmp_path / "none.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("invalid_settings: ")


def test_a_wrong_path_or_a_full_disk_is_no_defect(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "none.safetensors"
    code, out, err = cli("model", "predict", str(missing), str(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith(f"invalid_file: There is no file {missing}. → Download the model first")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("secureflow.cli.contexts.show", full)
    code, _, err = cli("context", "list")
    assert (code, err) == (2, f"invalid_file: stdout: No space left on device. → {CHECK}\n")

    def broken(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("secureflow.cli.contexts.show", broken)
    assert cli("context", "list")[0] == 70


def test_a_file_that_does_not_fit_is_named_and_the_older_one_stays(
    centre: Any, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = {"id": "usr_00000000", "name": "sam"}
    session = {"token": "sft_new", "expires": 2_000_000_000, "user": account}
    centre.answers["POST /login"] = (200, session)
    centre.answers["GET /audit/bundle?job=job_00000000"] = (200, HONEST)
    password, bundle = tmp_path / "password", tmp_path / "bundle.json"
    password.write_text("secret\n")
    password.chmod(0o600)
    bundle.write_text("the only one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as write(2): no name

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = cli("login", centre.url, "--name", "sam", "--password-file", password)
    home = tmp_path / "home"
    expected = f"invalid_file: {home / 'profile.json'}: No space left on device. → {CHECK}\n"
    assert (code, err) == (2, expected)
    code, _, err = cli("audit", "export", "job_00000000", bundle)
    expected = f"invalid_file: {bundle}: No space left on device. → {CHECK}\n"
    assert (code, err) == (2, expected)
    assert bundle.read_text() == "the only one"
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("closed", "code"), thinned([("stdout", 2), ("stderr", 0), ("stdin", 0)], 3, pytest.mark.full)
)
def test_a_stream_that_is_closed_is_no_defect(closed: str, code: int) -> None:
    script = (
        "import os, sys; from secureflow.cli.main import run\n"
        f"sys.{closed} = None\n"
        "sys.exit(run(['context', 'list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if closed == "stdout":
        assert "stdout: Bad file descriptor." in done.stderr
