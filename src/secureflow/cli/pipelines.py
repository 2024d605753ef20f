"""The steps of a pipeline as tables: planned, running, or ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.cli.console import Form, show, write
from secureflow.cli.escaping import plain
from secureflow.cli.texts import explained, part_of, t
from secureflow.kit.reading import objects

_PLANNED: Final = ("step", "kind", "takes", "rounds", "epsilon")
_RUN: Final = ("step", "kind", "state", "attempt", "job")


def show_planned_steps(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the steps of a dry run: what each takes of others, its rounds, and its ε."""
    write("")
    show([{name: _cell(row.get(name)) for name in _PLANNED} for row in rows], Form.TABLE, _PLANNED)


def show_steps(report: Mapping[str, Any]) -> None:
    """Print the steps of a pipeline's report, if it is one; they are the centre's word."""
    rows = [row for row in objects(report.get("steps"), 500) if "step" in row and "job" in row]
    if not rows:
        return
    write("")
    told = [{**{name: _cell(row.get(name)) for name in _RUN}, "state": t(_cell(row.get("state")))}
            for row in rows]  # fmt: skip
    show(told, Form.TABLE, _RUN)


def step_line(data: Mapping[str, Any]) -> str:
    """Return the line of a step that began or ended."""
    told = [f"{t('step')} {_cell(data.get('place'))}/{_cell(data.get('steps'))}"]
    told += [_cell(data.get("step")), t(_cell(data.get("state")))]
    if isinstance(error := data.get("error"), Mapping):
        told.append(explained(_cell(error.get("code")), part_of(error, "message")))
    told.append(_cell(data.get("job")))
    return "  ".join(filter(None, told))


def _cell(value: Any) -> str:
    return "" if value is None else plain(str(value))
