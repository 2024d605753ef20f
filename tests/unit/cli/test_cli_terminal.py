"""What a person sees on a terminal of 80 columns: whole ids, and colours only where wanted."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from secureflow.cli import console

SPIFFE = "spiffe://consortium.example/org/first-national-bank-of-somewhere/agent/agent-1"
JOBS = [
    {
        "id": f"job_0k3v9x2m7q{number:010d}", "project": "prj_0k3v9x2m7q8r5t1w6y4z",
        "organisation": "first-national-bank", "name": "default risk of small enterprises, 2026",
        "submitter": "sam.scientist", "kind": "training", "digest": "0" * 64, "state": "running",
        "created": 1_790_000_000, "updated": 1_790_000_000,
    }
    for number in range(3)
]  # fmt: skip


def _on_a_terminal(arguments: list[str], **environment: str) -> str:
    """Run the program with stdout and stderr on a pseudo terminal; return what appears there."""
    ours, theirs = pty.openpty()
    names = os.environ | {"COLUMNS": "80", "TERM": "xterm-256color"} | environment
    command = [sys.executable, "-m", "secureflow", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=names) as child:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                shown += chunk
        except OSError:  # Linux says so when the other side closed
            pass
        os.close(ours)
        child.wait()
    return shown.decode()


def test_ids_stay_in_one_piece_on_a_terminal_of_80_columns(centre: Any) -> None:
    centre.answers["GET /jobs"] = (200, {"items": JOBS, "next": ""})
    shown = _on_a_terminal(["job", "list"])
    for job in JOBS:
        assert job["id"] in shown
    assert JOBS[0]["project"] in shown
    assert max(map(len, shown.splitlines())) <= 80  # else the terminal itself would fold a row


def test_errors_have_no_colour_where_none_is_wanted() -> None:
    assert "\x1b[" in _on_a_terminal(["user", "me"])
    assert "\x1b[" not in _on_a_terminal(["user", "me"], NO_COLOR="1")


@pytest.mark.parametrize("width", [40, 80, 120, 10_000])
def test_a_table_folds_no_word_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(console, "_width", lambda: width)
    parties = [{"party": "bank-a", "id": SPIFFE, "title": "a party of some length " * 3}]
    console.show(parties, console.Form.TABLE)
    shown = capsys.readouterr().out
    assert SPIFFE in shown
    assert "party" in shown


def test_a_wide_table_stands_side_by_side_and_a_narrow_one_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": "a", "name": "first"}, {"id": "b", "name": "second"}]
    console.show(rows, console.Form.TABLE)
    assert capsys.readouterr().out == "id  name\na   first\nb   second\n"
    monkeypatch.setattr(console, "_width", lambda: 6)
    console.show(rows, console.Form.TABLE)
    assert capsys.readouterr().out == "id    a\nname  first\n\nid    b\nname  second\n"
