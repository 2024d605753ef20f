"""A call makes the parser of what it names alone, and everything is told as by the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from secureflow.cli.main import app
from secureflow.cli.narrowing import narrowed


def paths(command: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Name every group and command."""
    yield before
    for name, one in getattr(command, "commands", {}).items():
        yield from paths(one, (*before, name))


SHOWN = ("name", "opts", "secondary_opts", "required", "nargs", "multiple", "metavar", "envvar",
         "help", "hidden", "default", "is_flag", "is_eager")  # fmt: skip
EVERY = sorted(paths(get_command(app)))


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of parameters are looked up whenever a parser is made."""
    monkeypatch.setenv("SECUREFLOW_LANG", "en")


def told(line: typer.Typer, *words: str) -> tuple[int, str]:
    """Return what a command line says."""
    done = CliRunner().invoke(line, list(words), prog_name="secureflow")
    return done.exit_code, done.output


@pytest.mark.parametrize("words", [("agent",), ("job", "show"), ("doctor",)])
def test_only_what_is_named_is_made(words: tuple[str, ...]) -> None:
    made = get_command(narrowed(app, [*words, "--help"]))
    below = [path for path in EVERY if path[: len(words)] == words]
    above = [words[:length] for length in range(len(words))]
    assert sorted(paths(made)) == sorted([*above, *below])


def found(line: typer.Typer, path: tuple[str, ...]) -> dict[str, object]:
    """Return what a command is by a command line, and how it is called."""
    command: Any = get_command(line)
    for name in path:
        command = command.commands[name]
    params = [[getattr(one, name, None) for name in SHOWN] for one in command.params]
    return {"help": command.help, "epilog": command.epilog, "params": repr(params)}


def test_every_command_is_the_same() -> None:
    assert len(EVERY) > 100
    for path in EVERY:
        assert found(narrowed(app, path), path) == found(app, path), path


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("agent", "start", "--help"),
        ("job", "--help"),
        ("--help",),
        ("--version",),
        ("jobb",),
        ("job",),
        ("job", "lisst"),
        ("job", "list", "--nothing"),
        ("job", "show"),
        ("--context", "job", "job"),
        ("--context=job", "job", "got"),
        ("--context",),
        ("--unknown", "job"),
        ("job", "--unknown", "list"),
        ("--", "job"),
    ],
)
def test_a_call_that_is_wrong_is_told_of_everything(words: tuple[str, ...]) -> None:
    assert told(narrowed(app, words), *words) == told(app, *words)


@pytest.mark.parametrize("before", [("--context", "x"), ("--context=x",)])
def test_options_before_the_command_take_their_words(before: tuple[str, ...]) -> None:
    made = get_command(narrowed(app, [*before, "agent", "start"]))
    assert list(paths(made)) == [(), ("agent",), ("agent", "start")]


def test_the_whole_stays_whole() -> None:
    assert narrowed(app, ["nothing"]) is app
    assert sorted(paths(get_command(app))) == EVERY
