"""Notifications on the terminal are in our own words, whatever the centre says."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.cli.console import Form
from secureflow.cli.notifications import _line, _show_preferences, _text
from secureflow.sdk.notifications import NotificationPreferences

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


@pytest.mark.parametrize(
    ("lang", "told"), [("en", ("language of mails", "English")), ("zh", ("邮件语言", "英文"))]
)
def test_preferences_are_told_in_words(
    lang: str, told: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    _show_preferences(NotificationPreferences("en"), Form.TABLE)
    shown = capsys.readouterr()
    assert all(word in shown.out for word in told)
    assert "confirmed" not in shown.out
    assert "--email ADDRESS" in shown.err
    _show_preferences(NotificationPreferences("en", "a@b.example"), Form.TABLE)
    assert "--confirm CODE" in capsys.readouterr().err
    _show_preferences(NotificationPreferences("en", "a@b.example", confirmed=True), Form.TABLE)
    shown = capsys.readouterr()
    assert "a@b.example" in shown.out
    assert shown.err == ""
