"""What a person sees on a terminal of 80 columns: whole ids, and colours only where wanted."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

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
    centre.answers["GET /jobs?newest=1"] = (200, {"items": JOBS, "next": ""})
    shown = _on_a_terminal(["job", "list"])
    for job in JOBS:
        assert job["id"] in shown
    assert JOBS[0]["project"] in shown
    assert max(map(len, shown.splitlines())) <= 80  # else the terminal itself would fold a row


def test_a_broken_line_of_code_looks_like_no_other(tmp_path: Path) -> None:
    """Where a terminal broke it itself, its other part would begin like a removed line."""
    for name, code in (("old", "total = 0"), ("new", f"total = 0{' ' * 70}-   stash(rows)")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(f"{code}\n")
    shown = _on_a_terminal(["bundle", "diff", str(tmp_path / "old"), str(tmp_path / "new")])
    lines = shown.splitlines()
    assert max(map(len, lines)) < 80
    at = next(number for number, line in enumerate(lines) if line.startswith("+total"))
    assert lines[at + 1].startswith("~> ")
    assert "".join(lines[at : at + 2]).replace("~> ", "").endswith("-   stash(rows)")


def test_sentences_among_lines_of_code_are_broken_at_words() -> None:
    """And have no mark: they stand further right than they begin. Code keeps every character."""
    words = ["wordy" * (1 + at % 3) for at in range(40)]
    for lead in ("", "  "):
        prose = list(console._folded(lead + " ".join(words), 40, prose=True))
        assert " ".join("".join(prose).split()) == " ".join(words)
        assert max(map(len, prose)) < 40
        assert all(one.startswith(f"{lead}    w") for one in prose[1:])
    code = f"+{'  '.join(words)}"
    first, *others = console._folded(code, 40)
    assert all(one[:3] == "~> " and one[3:].lstrip().startswith("wordy") for one in others)
    assert first + "".join(one.removeprefix("~> ") for one in others) == code
    chinese = list(
        console._folded("本任务于 2026-11-30 01:17 在此处得到批准，" * 6, 40, prose=True)
    )
    assert not any(one.startswith((":17", "    :17", "    17")) for one in chinese)


def test_code_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message names the command as it was called; a line of code with its name is no message."""
    monkeypatch.setattr(sys, "argv", ["/opt/x/bin/secureflow"])
    console.say("See: secureflow job list")
    console.write_lines(["+from secureflow import Client"], err=True)
    told = capsys.readouterr().err.splitlines()
    assert told[0] != "See: secureflow job list"
    assert told[1] == "+from secureflow import Client"


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


@pytest.mark.parametrize("width", [76, 80, 90, 100])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_table_that_fits_by_its_words_loses_no_character(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, lang: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    monkeypatch.setattr(console, "_width", lambda: width)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    rows = [
        {"id": "dst_1m8g5sh0nbn5p1xs4ndc", "organisation": "bank-a", "name": "customers",
         "title": title, "rows": "1k-5k", "created": 1_790_000_000}
        for title in ("Retail customers", "零售客户", "loans of three years")
    ]  # fmt: skip
    console.show(rows, console.Form.TABLE)
    written = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(cell_len, written.splitlines())) <= width
    for row in rows:
        words = f"{row['id']} {console.moment(row['created'])} {row['title']}"
        assert all(word in written for word in words.split())


def test_chinese_sentences_fold_inside_their_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", lambda: 80)
    sentence = "自己的数据行、自己的更新，以及每个已发布的模型与总和" * 3
    console.show([{"who": "运营方", "sees": sentence, "why": sentence}], console.Form.TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["who", "sees", "why"], "side by side, not one under another"
    assert max(map(cell_len, lines)) <= 80
    assert sum(line.count("数据行") + line.count("数") for line in lines) >= 6
