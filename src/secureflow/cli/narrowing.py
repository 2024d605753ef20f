"""The part of the command line that a call names: typer makes every command's parser otherwise.

That takes a fifth of a second for all of them, and every process here begins with a command.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import typer
from typer.main import get_command_name

_WITH_VALUE: Final = frozenset({"--context"})
"""Options of the whole command line that take the next word."""


def narrowed(app: typer.Typer, arguments: Sequence[str]) -> typer.Typer:
    """Return a command line with what the arguments name and nothing beside it.

    A level at which they name nothing that is there stays whole: its help and its faults tell of
    everything in it.
    """
    return _only(app, _path(app, _after_options(arguments)))


def _after_options(arguments: Sequence[str]) -> Sequence[str]:
    at = 0
    while at < len(arguments) and arguments[at].startswith("--context"):
        at += 2 if arguments[at] in _WITH_VALUE else 1
    return arguments[at:]


def _path(app: typer.Typer, words: Sequence[str]) -> tuple[str, ...]:
    """Return the names of groups, and of the command, that the words begin with."""
    if not words:
        return ()
    for group in app.registered_groups:
        if group.name == words[0] and group.typer_instance is not None:
            return (words[0], *_path(group.typer_instance, words[1:]))
    return (words[0],) if words[0] in map(_name, app.registered_commands) else ()


def _only(app: typer.Typer, path: tuple[str, ...]) -> typer.Typer:
    if not path:
        return app
    part = copy.copy(app)
    part.registered_commands = [one for one in app.registered_commands if _name(one) == path[0]]
    part.registered_groups = []
    for group in app.registered_groups:
        if group.name == path[0] and group.typer_instance is not None:
            kept = copy.copy(group)
            kept.typer_instance = _only(group.typer_instance, path[1:])
            part.registered_groups.append(kept)
    return part


def _name(command: typer.models.CommandInfo) -> str:
    function = getattr(command.callback, "__name__", "")
    return command.name or get_command_name(function)
