"""Programs of others that an engine runs among the parties: a bundle, the file in it, arguments.

MPyC runs programs in Python as their authors wrote them. What such a program computes, and what it
opens to whom, nobody can tell without reading it: owners are shown its source, and approve its
digest. The spec fixes everything that it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Digest
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.text import Text

MPYC: Final = "mpyc"
"""The name of the program in specs, and of the engine that runs it."""
SHAMIR: Final = "shamir"
"""Its protocol."""
_PART: Final = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
FILE_PATTERN: Final = rf"^(?:{_PART}/){{0,7}}{_PART}\.py$"
"""The path of a file in a bundle: no part of it begins with a dot."""
INPUT_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}\.(?:csv|npy)$"
MAX_ARGUMENTS: Final = 64
MAX_ARGUMENT: Final = 500
"""Most characters of one argument."""
CELL: Final = "@"
"""Begins an argument that stands for a cell of each party's own input."""
Argument = Annotated[str, Field(max_length=MAX_ARGUMENT), ONE_LINE]

_LONG: Final = (
    *("--VERSION", "--HELP", "--help", "--config", "--index", "--threshold", "--base-port"),
    *("--ssl", "--workers", "--bit-length", "--sec-param", "--log-level", "--no-log"),
    *("--no-async", "--no-barrier", "--no-gmpy2", "--no-numpy", "--no-uvloop", "--no-prss"),
    *("--mix32-64bit", "--output-windows", "--output-file"),
)
_SHORT: Final = tuple(f"-{one}" for one in "VHhCPMITBWLKf")
"""The options of MPyC 0.11; a test compares them with its parser."""


@dataclass(frozen=True)
class ProgramRef:
    """The code of a program.

    Args:
        digest: of the packed bundle, BLAKE3 in hex.
        entry: the file in it that is started.
    """

    __pydantic_config__ = STRICT
    digest: Digest
    entry: Annotated[str, Field(pattern=FILE_PATTERN, max_length=200)]

    @property
    def environment(self) -> str:
        """None of the owner's: an engine runs it, in the environment of that."""
        return ""


@dataclass(frozen=True)
class MpycProgram:
    """A program that MPyC runs, unmodified.

    Args:
        bundle: its code, which every owner approves.
        arguments: of its command line, the same at all parties; `@COLUMN` stands for the cell of
            the first row that each party brings in that column, and is left out at one without it.
        input: the file that each party's columns stand in, below `inputs/`: CSV with a header, or
            `.npy` (numbers alone, float64, a row for each row).
    """

    __pydantic_config__ = STRICT
    name: Literal["mpyc"]
    bundle: ProgramRef
    arguments: Annotated[tuple[Argument, ...], Field(max_length=MAX_ARGUMENTS)] = ()
    input: Annotated[str, Field(pattern=INPUT_PATTERN)] = "rows.csv"
    version: Literal[1] = 1

    @property
    def numbers(self) -> bool:
        """Whether parties bring numbers alone."""
        return self.input.endswith(".npy")

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns that arguments name."""
        return tuple(one[1:] for one in self.arguments if one.startswith(CELL))


def arguments_problem(program: MpycProgram, columns: Sequence[str]) -> tuple[str, str, str] | None:
    """Return a contradiction between a program's arguments and what parties bring; or None."""
    taken = next(own_options(program.arguments), None)
    if taken is not None:
        reason: str = Text("{argument!r} is an option of MPyC itself", argument=taken[:80])
        hint: str = (
            "Leave it out: parties, ports and threshold are the job's, and with another threshold "
            "its label would be wrong."
        )
        return "program.arguments", reason, hint
    if program.cells and program.numbers:
        reason = Text("{argument} names a cell, and the input is no CSV",
                      argument=f"{CELL}{program.cells[0]}")  # fmt: skip
        return "program.arguments", reason, "Leave it out, or name an input that ends in .csv."
    absent = next((one for one in program.cells if one not in columns), None)
    if absent is not None:
        reason = Text("no party brings a column {column}", column=absent)
        return "program.arguments", reason, "Name a column of `inputs`."
    return None


def own_options(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments that MPyC would take for its own, abbreviated ones too (argparse)."""
    for one in arguments:
        name = one.partition("=")[0]
        long = one.startswith("--") and any(known.startswith(name) for known in _LONG)
        if long or one[:2] in _SHORT:
            yield one
