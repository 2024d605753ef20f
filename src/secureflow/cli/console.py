"""How the command line speaks: results on stdout as table, JSON or YAML; all else on stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from rich.table import Table


class Form(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Form, typer.Option("--output", "-o", help=t("How to write the result."))]


def group(help_text: str) -> typer.Typer:
    """Return an empty command group."""
    return typer.Typer(help=t(help_text), no_args_is_help=True, rich_markup_mode=None)


def say(text: str) -> None:
    """Tell the person something on stderr."""
    typer.echo(text, err=True)


def write(text: str) -> None:
    """Write a result as it is to stdout."""
    typer.echo(text)


def show(value: Any, form: Form, columns: Sequence[str] = ()) -> None:
    """Write one object or a list of them.

    Args:
        value: a JSON value or (a list of) dataclasses.
        form: table, JSON or YAML; JSON and YAML hold everything, a table only `columns`.
        columns: the table's columns; for one object its lines, by default all.
    """
    plain = _plain(value)
    if form is Form.JSON:
        write(json.dumps(plain, ensure_ascii=False, indent=2))
    elif form is Form.YAML:
        import yaml  # only when asked for

        write(yaml.safe_dump(plain, allow_unicode=True, sort_keys=False).rstrip())
    elif isinstance(plain, list):
        _table(plain, columns)
    else:
        _lines(plain, columns)


def fail(error: SecureFlowError) -> None:
    """Write the one line of an error: code, message, hint."""
    line = typer.style(error.code, fg=typer.colors.RED, bold=True) + f": {error.message}"
    if error.hint:
        line += f" {typer.style('→', fg=typer.colors.CYAN)} {error.hint}"
    typer.echo(" ".join(line.split("\n")), err=True)


def confirmed(question: str, yes: bool) -> None:
    """Ask for a yes unless `--yes` was given; anything else ends the command.

    Raises:
        SecureFlowError: `not_confirmed`.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise SecureFlowError("not_confirmed", t("Nobody is there to confirm."), "--yes")
    if not typer.confirm(question, err=True):
        raise SecureFlowError("not_confirmed", t("Nothing was done."))


def moment(seconds: Any) -> str:
    """Write a unix time in the local zone; empty for none."""
    if not isinstance(seconds, int | float) or not seconds:
        return ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, str | PurePath):  # a StrEnum becomes its text
        return str(value)
    if isinstance(value, Iterable):
        return [_plain(one) for one in value]
    return value


_TIMES = frozenset({"created", "expires", "updated", "used", "since", "revoked", "at", "removed"})


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TIMES:
        return moment(value)
    if isinstance(value, list):
        return ", ".join(_cell("", one) for one in value)
    if isinstance(value, dict):
        return " ".join(
            f"{key} ({_cell(key, one)})" if isinstance(one, dict) else f"{key}={_cell(key, one)}"
            for key, one in value.items()
        )
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _table(rows: list[Any], columns: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(t("Nothing to show."))
        return
    names = list(columns) or list(rows[0])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(t(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(name, row.get(name))) for name in names))
    _print(table)


def _lines(value: Any, columns: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not isinstance(value, dict):
        write(_cell("", value))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name in columns or value:
        if name in value:
            table.add_row(t(name), Text(_cell(name, value[name])))
    _print(table)


def _print(table: Table) -> None:
    """Print a table; into a file or another program nothing is cut, wrapped or padded."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=10_000, force_terminal=False)
    with console.capture() as written:
        console.print(table)
    write("\n".join(line.rstrip() for line in written.get().rstrip("\n").split("\n")))
