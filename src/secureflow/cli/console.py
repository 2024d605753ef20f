"""Output of the command line: results on stdout as table, JSON or YAML; the rest on stderr."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, StrEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.texts import explained, listed, said, t
from secureflow.kit.commandline import runnable
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import escaped_json, hidden, shown

if TYPE_CHECKING:
    from rich.table import Table


class Form(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Form, typer.Option("--output", "-o", help=t("The format of the output."))]
_FOLD: Final = "~> "
"""Before a part of a line that was broken; no line of a difference begins so."""
_HANGING: Final = 4
"""Cells by which the other parts of a broken sentence are indented."""
_YES: Final = frozenset({"y", "yes", "是"})
_NO: Final = frozenset({"n", "no", "否"})
Yes = Annotated[bool, typer.Option("--yes", help=t("Do not ask for confirmation."))]


class Prose(str):
    """A line of ours among lines that are foreign: broken, its other parts are indented."""

    __slots__ = ()


def group(help_text: str) -> typer.Typer:
    """Return an empty command group."""
    return typer.Typer(help=t(help_text), no_args_is_help=True, rich_markup_mode=None)


def say(text: str) -> None:
    """Print a message for people on stderr."""
    typer.echo(runnable(shown(text, several=True)), err=True)


def write_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Write lines of which each has to be told from the next, as those of a foreign file.

    A terminal would break a long one, and what follows would look like a line of its own: so it is
    broken here, at a word where it can be, and its other parts begin with a mark that no line
    begins with; those of `Prose` stand further right than its beginning.
    """
    stream = sys.stderr if err else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else 0
    for line in lines:
        prose = isinstance(line, Prose)
        for part in _folded(shown(line, several=True), width, prose=prose):
            typer.echo(part, err=err)


def _folded(line: str, width: int, *, prose: bool = False) -> Iterator[str]:
    """Yield a line in parts that a terminal has room for; 0 is as much as there is."""
    if not width:
        yield line
        return
    mark = _FOLD
    if prose:
        mark = " " * (len(line) - len(line.lstrip(" ")) + _HANGING)
    room = max(width - len(mark) - 1, 10)  # some terminals break a line that fills it
    for number, part in enumerate(_parts(line, room)):
        yield mark + part if number else part


def _parts(line: str, room: int) -> Iterator[str]:
    """Yield a line in parts of so many cells at most: whole words, where they are not that long."""
    from rich.cells import chop_cells

    while len(chopped := chop_cells(line, room)) > 1:
        end = len(chopped[0])
        places = range(end, end // 2, -1)
        end = next((at for at in places if _between_words(line[at - 1], line[at])), end)
        yield line[:end]
        line = line[end:]
    yield line


def _between_words(before: str, after: str) -> bool:
    """Tell whether a line can be broken here; Chinese can beside any character."""
    return before == " " or (after != " " and not (before.isascii() and after.isascii()))


def write(text: str) -> None:
    """Write a result to stdout; only hidden characters are escaped."""
    typer.echo(shown(text, several=True))


def show(value: Any, form: Form, columns: Sequence[str] = ()) -> None:
    """Write one object or a list of them.

    Args:
        value: a JSON value or (a list of) dataclasses.
        form: table, JSON or YAML; JSON and YAML have everything, a table only `columns`.
        columns: the table's columns; for one object its lines, by default all.
    """
    plain = _plain(value)
    if form is Form.JSON:
        write(escaped_json(json.dumps(plain, ensure_ascii=False, indent=2)))
    elif form is Form.YAML:
        write(_yaml(plain))
    elif isinstance(plain, list):
        _table(plain, columns)
    else:
        _lines(plain, columns)


def fail(error: SecureFlowError) -> None:
    """Print an error in one line: code, message, hint; before it the notes of one's own code."""
    for note in getattr(error, "__notes__", ()):
        typer.echo(shown(said(note), several=True), err=True)
    line = _styled(shown(error.code), fg=typer.colors.RED, bold=True)
    line += f": {_one_line(explained(error.code, error.message))}"
    if error.hint:
        line += f" {_styled('→', fg=typer.colors.CYAN)} {runnable(_one_line(said(error.hint)))}"
    typer.echo(line, err=True)


def _one_line(text: str) -> str:
    return shown(" ".join(text.split("\n")))


def _styled(text: str, **style: Any) -> str:
    """Return a text in colour, or plain if `NO_COLOR` is set (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else typer.style(text, **style)


def confirmed(question: str, yes: bool) -> None:
    """Ask for confirmation unless `--yes` was given; anything but yes ends the command.

    Raises:
        SecureFlowError: `not_confirmed`.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise SecureFlowError(
            "not_confirmed",
            t("There is nobody to ask for confirmation."),
            t("Confirm in advance: --yes."),
        )
    if not agreed(question):
        raise SecureFlowError("not_confirmed", t("Nothing was done."))


def agreed(question: str) -> bool:
    """Ask a question at the terminal until it is answered by y or n; no answer is no."""
    asked = f"{shown(question, several=True)} [y/N]"
    while True:
        answer = str(typer.prompt(asked, default="n", show_default=False, err=True)).strip().lower()
        if answer in _YES | _NO:
            return answer in _YES
        say(t("Answer y or n."))


def ask(question: str, option: str) -> str:
    """Ask for one line.

    Raises:
        SecureFlowError: `no_terminal` naming the option to use instead.
    """
    _need_terminal(option)
    return str(typer.prompt(question, err=True))


def ask_secret(question: str, option: str, *, twice: bool = False) -> str:
    """Ask for a secret without showing it; raises as `ask`."""
    _need_terminal(option)
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))


def _need_terminal(option: str) -> None:
    if not sys.stdin.isatty():
        raise SecureFlowError("no_terminal", t("There is no terminal to ask on."), option)


_LATEST: Final = 1 << 36


def moment(seconds: Any) -> str:
    """Format a unix time in the local zone; empty for None, and for invalid dates."""
    if not isinstance(seconds, int | float) or not 0 < seconds < _LATEST:
        return ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, str | PurePath):  # a StrEnum becomes its text
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Iterable):
        return [_plain(one) for one in value]
    return value


def _yaml(plain: Any) -> str:
    """Return YAML with hidden characters escaped in quoted strings, which reads back equal."""
    import yaml  # only when needed

    class Dumper(yaml.SafeDumper):
        """Quotes strings that have to be escaped."""

    def quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = '"' if hidden(text.replace("\n", "")) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, quoted)
    text = yaml.dump(plain, Dumper=Dumper, allow_unicode=True, sort_keys=False)
    return shown(text.rstrip(), several=True)


_TIMES = frozenset(
    ["created", "expires", "updated", "used", "since", "revoked", "at", "removed", "taken_at"]
)
_WORDS = frozenset(
    ["action", "kind", "link", "outcome", "severity", "stage", "state", "type", "unit", "verb"]
)
"""Fields whose values are from a short list, translated for people."""
_FACTS = frozenset({"progress", "facts"})
"""Fields whose member names are ours and translated; in others they are codes, or foreign."""


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TIMES and not isinstance(value, str):
        return moment(value)
    if isinstance(value, list):
        return listed(_cell("", one) for one in value)
    if isinstance(value, dict):
        return _facts(name, value)
    return _plain_cell(name, value)


def _facts(name: str, value: dict[str, Any]) -> str:
    titles = {key: t(key) if name in _FACTS else key for key in value}
    return " ".join(
        f"{titles[key]} ({_cell(key, one)})"
        if isinstance(one, dict)
        else f"{titles[key]}={_cell(key, one)}"
        for key, one in value.items()
    )


def _plain_cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return t("yes") if value else t("no")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else f"{value:.4g}"
    if name not in _WORDS or not isinstance(value, str):
        return str(value)
    said = t(value)
    return t(value.replace("_", " ")) if name == "outcome" and said == value else said


def _table(rows: list[Any], columns: Sequence[str]) -> None:
    """Print rows as a table, or as records if the terminal is too narrow.

    Words are never broken: an identifier stays in one piece for copying. Only sentences wrap, at
    their spaces or, in Chinese, anywhere.
    """
    if not rows:
        say(t("Nothing to show."))
        return
    names = list(columns) or list(rows[0])
    cells = [[shown(_cell(name, row.get(name))) for name in names] for row in rows]
    records = [(t(name), *(row[at] for row in cells)) for at, name in enumerate(names)]
    widths = _shared_out(records, _width() - _GAP * (len(names) - 1))
    if not widths:
        _records(names, cells)
        return
    _print(_side_by_side(names, cells, widths))


def _shared_out(columns: list[tuple[str, ...]], room: int) -> list[int]:
    """Return each column's width, or an empty list if none fit.

    rich's own shrinking would cut off the last columns.
    """
    from rich.cells import cell_len

    widths = [max(map(_longest_word, column)) for column in columns]
    wanted = [max(map(cell_len, column)) for column in columns]
    if sum(widths) > room:
        return []
    for at in sorted(range(len(columns)), key=lambda at: wanted[at] - widths[at]):
        left = sum(wanted[one] > widths[one] for one in range(len(columns))) or 1
        spare = room - sum(widths)
        widths[at] += min(wanted[at] - widths[at], spare // left)
    return widths


def _side_by_side(names: list[str], cells: list[list[str]], widths: list[int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, width in zip(names, widths, strict=True):
        table.add_column(Text(shown(t(name))), width=width, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _records(names: list[str], cells: list[list[str]]) -> None:
    """Print each row as lines `name value`; long values are wrapped by the terminal."""
    from rich.cells import cell_len

    titles = [shown(t(name)) for name in names]
    widest = max(map(cell_len, titles), default=0)
    for number, row in enumerate(cells):
        if number:
            write("")
        for title, text in zip(titles, row, strict=True):
            if text:
                # A value of several lines is indented under its name, so that it cannot forge
                # lines.
                value = text.replace("\n", "\n" + " " * (widest + _GAP))
                write(f"{title}{' ' * (widest - cell_len(title) + _GAP)}{value}")


def _lines(value: Any, columns: Sequence[str]) -> None:
    if not isinstance(value, dict):
        write(_cell("", value))
        return
    names = [name for name in columns or value if name in value]
    _records(names, [[shown(_cell(name, value[name]), several=True) for name in names]])


_GAP = 2
_EXACT = 2.0**53
_FOLDED = 16
"""Minimum cells of a column of Chinese sentences."""
_ENDLESS = 10_000
"""Width of a file or a pipe: nothing there is cut, wrapped or padded."""


def _longest_word(text: str) -> int:
    """Return the cells of a text's longest word; Chinese sentences can be broken anywhere."""
    from rich.cells import cell_len

    return max((min(cell_len(word), _longest_part(word)) for word in text.split()), default=0)


def _longest_part(word: str) -> int:
    from rich.cells import cell_len

    if word.isascii():
        return len(word)
    plain = "".join(one if cell_len(one) < 2 else " " for one in word).split()
    return max(_FOLDED, *map(cell_len, plain), 0)


def _width() -> int:
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else _ENDLESS


def _print(table: Table) -> None:
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_ENDLESS, force_terminal=False)
    with console.capture() as written:
        console.print(table)
    write("\n".join(line.rstrip() for line in written.get().rstrip("\n").split("\n")))
