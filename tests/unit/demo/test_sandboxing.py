"""The demo starts on a machine whose kernel lets no sandbox run."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.adapters.sandbox import choice
from secureflow.demo.sandboxing import sandbox_settings


def test_a_sandbox_that_is_there_and_fails_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / choice.PROGRAM
    program.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    settings, reason = sandbox_settings()
    assert settings == {"worker": {"sandbox": "off"}}
    assert "Permission denied" in reason
    settings, reason = sandbox_settings(engines=True)
    assert settings == {"worker": {"sandbox": "off"}, "engines": {"unconfined": True}}


def test_without_one_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox_settings() == ({}, "")


def test_engines_need_the_owners_word_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings, reason = sandbox_settings(engines=True)
    assert settings == {"engines": {"unconfined": True}}
    assert "not installed" in reason
