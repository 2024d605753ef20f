"""The demo of an intersection asks at a terminal before it installs an engine, and only there.

The keyboard is a pseudo-terminal; what installs is a stand-in, and what is played nothing.
"""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.cli.main import run
from secureflow.demo import launcher
from secureflow.demo.psi import engines
from secureflow.kit.errors import SecureFlowError
from tests.unit.demo.test_psi_engines import Owned

Demo = Callable[..., str]


class Played:
    """`Staging`, which tells which engine it was given."""

    def __init__(self, _: Path, engine: str, *__: Any, **___: Any) -> None:
        self._engine = engine

    def run(self) -> None:
        raise SecureFlowError("not_found", f"PLAYED WITH {self._engine}")


class Uninterrupted:
    def before(self, step: Any) -> Any:
        return step


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sit at a terminal, and type ahead."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as typed:
        monkeypatch.setattr("sys.stdin", typed)
        yield lambda text: os.write(master, text.encode()) and None
    os.close(master)


@pytest.fixture
def demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Demo:
    """Run the demo where these engines are here; return what it shows."""
    monkeypatch.setattr(engines, "OwnEngines", Owned)
    monkeypatch.setattr(launcher, "Staging", Played)
    monkeypatch.setattr(launcher, "_interrupts", Uninterrupted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "400")

    def command(*words: str, here: set[str], language: str = "en") -> str:
        Owned.here, Owned.fails, Owned.made = here, set(), []
        monkeypatch.setenv("SECUREFLOW_LANG", language)
        run(["demo", "--scenario", "psi", "--directory", str(tmp_path / "demo"), *words])
        return capsys.readouterr().err

    return command


def test_the_question_says_how_much_and_how_long_and_yes_installs(
    demo: Demo, keyboard: Callable[[str], None]
) -> None:
    keyboard("y\n")
    told = demo(here=set())
    question = next(line for line in told.splitlines() if "[y/N]" in line)
    assert all(part in question for part in ("spu 0.9.5", "220 MB", "930 MB", "40 s", "Install"))
    assert Owned.made == ["spu"]
    assert "PLAYED WITH spu" in told


def test_no_goes_on_with_the_small_one(demo: Demo, keyboard: Callable[[str], None]) -> None:
    keyboard("n\n")
    told = demo(here={"openmined"})
    assert Owned.made == []
    assert "openmined takes its place" in told
    assert "PLAYED WITH openmined" in told


def test_an_option_answers_yes(demo: Demo, keyboard: Callable[[str], None]) -> None:
    told = demo("--install-engine", here=set())
    assert "[y/N]" not in told
    assert Owned.made == ["spu"]
    assert "PLAYED WITH spu" in told


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_a_terminal_it_says_the_command_and_goes_on(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    told = demo(here={"openmined"}, language=language)
    assert "secureflow demo --scenario psi --install-engine" in told
    assert Owned.made == []
    assert "PLAYED WITH openmined" in told


def test_without_a_terminal_and_any_engine_both_ways_are_said(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    told = demo(here=set())
    assert "engine_absent" in told
    assert "--install-engine" in told
    assert "--engine openmined" in told
    assert Owned.made == []
