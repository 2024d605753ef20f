"""What fails in a simulation is said by its place: party and round, or the row of the file.

At an owner an error names no cell, and a row of the owner's own file. Here the rows are those of
whoever reads the error, and a party's are a random share of them that nobody can look up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Joined, Text, without_stop
from secureflow.simulation.training.table import Table

_ROW: Final = ("row", "index")
"""What errors call the fact that is the number of a row."""
_NAMED: Final = 5
_LONGEST: Final = 80


@contextmanager
def at(party: str, number: int = 0) -> Iterator[None]:
    """Have errors in the block name the party, and the round if there is one."""
    try:
        yield
    except SecureFlowError as error:
        if number:
            told = Text("{party}, round {number}: {problem}", party=party, number=number,
                        problem=error.message)  # fmt: skip
        else:
            told = Text("{party}: {problem}", party=party, problem=error.message)
        raise error.retold(told) from error


def in_file(
    error: SecureFlowError, table: Table | None, rows: NDArray[np.int64]
) -> SecureFlowError | None:
    """Return an error of a cell with its row in the file and what it holds; None for another one.

    Args:
        error: names row and column of a party's share.
        table: all rows.
        rows: the places in it of that party's.
    """
    message, found = error.message, error.details
    row, column = found.get("row"), found.get("column")
    if table is None or not isinstance(message, Text) or not isinstance(row, int):
        return None
    if column not in table.columns or not 1 <= row <= len(rows):
        return None
    at_all = int(rows[row - 1])
    file, place = table.place(at_all)
    facts = {name: place if name in _ROW else fact for name, fact in message.facts.items()}
    problem = without_stop(Text.of_table(message.template, facts))
    cells = table.columns[column]
    if (value := _shown(cells[at_all])) is None:
        told = Text("{file}: {problem}.", file=file, problem=problem)
    else:
        told = Text("{file}: {problem}: the cell holds {value}.", file=file, problem=problem,
                    value=value)  # fmt: skip
    more = _further(error.code, cells)
    hint = Joined(" ", [error.hint, more]) if more else error.hint
    return error.retold(told, hint)


def _further(code: str, cells: NDArray[Any]) -> str:
    """Return what the whole column holds, for those who choose bounds or classes."""
    if code == "label_out_of_range":
        low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
        return Text("The column goes from {low:g} to {high:g}.", low=low, high=high)
    if code not in {"unknown_class", "unknown_category"}:
        return ""
    values = sorted({str(_shown(one)) for one in cells.tolist() if _shown(one) is not None})
    more = ["…"] * (len(values) > _NAMED * 2)
    return Text("The column holds {values}.", values=", ".join([*values[: _NAMED * 2], *more]))


def _shown(value: Any) -> str | None:
    """Return a cell as it is told; None for one that is missing."""
    if isinstance(value, str):
        return repr(value[:_LONGEST])
    number = math.nan if value is None else float(value)
    return None if math.isnan(number) else f"{number:.12g}"
