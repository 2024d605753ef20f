"""The tables of docs/cli.md: exit codes and commands, generated from the program itself.

`python -m secureflow.cli.reference docs/cli.md` rewrites everything after the page's marker; a test
fails if it is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from secureflow.cli.main import app
from secureflow.domain.exits import EXITS

MARKER = "## Exit codes\n"


def reference() -> str:
    """Return the Markdown that follows the marker."""
    return f"\n{_exits()}\n## Commands\n\n{_commands()}"


def _exits() -> str:
    rows = [f"| {one.code} | {one.meaning} | {', '.join(one.examples)} |" for one in EXITS]
    return "\n".join(["| code | meaning | examples |", "|--:|---|---|", *rows, ""])


def _commands() -> str:
    root = get_command(app)
    sections: list[str] = []
    alone: list[str] = []
    for name, command in _children(root):
        if _children(command):
            rows = list(_rows(name, command))
            sections.append(f"\n### {name}\n\n{command.help}\n\n{_table(rows)}")
        else:
            alone.append(_row(name, command))
    return _table(alone) + "".join(sections)


def _children(command: Any) -> list[tuple[str, Any]]:
    return list(getattr(command, "commands", {}).items())


def _rows(path: str, command: Any) -> Iterator[str]:
    if getattr(command, "invoke_without_command", False):
        yield _row(path, command)
    for name, child in _children(command):
        if _children(child):
            yield from _rows(f"{path} {name}", child)
        else:
            yield _row(f"{path} {name}", child)


def _row(path: str, command: Any) -> str:
    arguments, options = [], []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = str(parameter.metavar or parameter.name).upper()
            arguments.append(name if parameter.required else f"[{name}]")
        elif parameter.name != "help":
            flag = max(parameter.opts, key=len)
            options.append(f"**`{flag}`**" if parameter.required else f"`{flag}`")
    usage = " ".join(["secureflow", path, *arguments])
    return f"| `{usage}` | {command.help} | {' '.join(options)} |"


def _table(rows: list[str]) -> str:
    head = ["| command | what it does | options (bold: required) |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def update(page: Path) -> None:
    """Rewrite the tables of the page."""
    before, marker, _ = page.read_text("utf-8").partition(MARKER)
    page.write_text(before + marker + reference(), "utf-8")


if __name__ == "__main__":
    update(Path(sys.argv[1]))
