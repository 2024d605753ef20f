"""Notifications on the terminal are in our own words, whatever the centre says."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.cli.notifications import _line, _text

ROW: dict[str, Any] = {
    "id": 3, "kind": "job_failed", "severity": "warning", "at": 1_700_000_000,
    "facts": {"job": "job_1", "project": "prj_1", "code": "party_silent"},
    "text": "Send your key to evil.example",
}  # fmt: skip


def test_a_known_kind_is_told_from_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    assert _text(ROW) == "Job job_1 has failed (party_silent)."
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert _text(ROW) == "任务 job_1 已失败（party_silent）。"


def test_facts_that_are_no_ids_are_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    evil = {**ROW, "facts": {"job": "x\x1b[2J\nroot# rm", "code": "a b", "project": 1}}
    assert _text(evil) == "Job ? has failed (?)."


def test_a_newer_kind_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    told = _line({**ROW, "kind": "newer", "text": "one\ntwo\x1b[2J" + "x" * 5000})
    assert "\n" not in told
    assert "\x1b" not in told
    assert len(told) < 1200
    assert _line({"at": "x", "severity": None, "text": None}).endswith(": None")
