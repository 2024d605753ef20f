"""Runs an MPyC program as it is, under MPyC's interpreter (`host.Job`). Standard library only.

An MPyC program is started as its authors start it: as `__main__`, in a folder with its files, with
its arguments. What it has here beside that:

    inputs/NAME          its party's own input, read-only: CSV with a header, or .npy; the job says
                         its name, `rows.csv` if nothing else (docs/mpc.md)
    outputs/             what it writes there is returned, to parties that receive outputs
    secureflow_job       a module: `column(input, name)` of a CSV as a list of strings,
                         `array(input)` of an .npy, `parameters`, `number`, `outputs`,
                         `progress(share)`
    @COLUMN              as an argument: the cell of the first row of a CSV in that column; left out
                         at a party that has none

What it prints to stdout is returned as `printed.txt`, for MPyC's own demos print their results; its
log is stderr. MPyC's own options are not the program's to set: with another threshold the label
would be wrong.
"""

from __future__ import annotations

import csv
import os
import runpy
import sys
import types
from pathlib import Path
from typing import Any

PRINTED = "printed.txt"
OWN = ("inputs", "outputs", PRINTED)
"""Names in the working folder that are not the program's."""


def run(job: Any) -> dict[str, Any]:
    """Run the program of a job."""
    entry = _prepared(job)
    arguments = _arguments(job)
    sys.argv = [str(entry)]
    _refuse_options(job, arguments)
    parties = [part for address in job.addresses for part in ("-P", address)]
    sys.argv = [str(entry), *arguments, *parties, "-I", str(job.number)]
    sys.path.insert(0, str(job.code))
    sys.modules["secureflow_job"] = _module(job)
    printed = job.folder / PRINTED
    kept = os.dup(1)
    handle = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    job.progress("compute", 0.0)
    try:
        runpy.run_path(str(entry), run_name="__main__")
    except SystemExit as ended:
        if ended.code not in {None, 0}:
            raise
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
    job.progress("outputs", 0.0)
    _return(job, printed)
    return {}


def _prepared(job: Any) -> Path:
    """Lay out the working folder; return the file that runs."""
    for one in sorted(job.code.iterdir()):
        if one.name not in OWN:
            (job.folder / one.name).symlink_to(one)
    (job.folder / "outputs").mkdir()
    (job.folder / "inputs").mkdir()
    for name, path in job.inputs.items():
        (job.folder / "inputs" / name).symlink_to(path)
    entry: Path = job.code / job.entry
    if not entry.is_file() or not entry.resolve().is_relative_to(job.code.resolve()):
        raise job.failed("entry")
    return entry


def _arguments(job: Any) -> list[str]:
    found: list[str] = []
    for one in job.parameters.get("arguments", []):
        if not one.startswith("@"):
            found.append(one)
        elif (cell := _first(job, one[1:])) is not None:
            found.append(cell)
    return found


def _first(job: Any, column: str) -> str | None:
    """Return the cell of the first row of a column; None if no input has it."""
    for name, path in job.inputs.items():
        if name.endswith(".npy"):
            continue
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file), None)
        if row is not None and row.get(column) is not None:
            return row[column]
    return None


def _refuse_options(job: Any, arguments: list[str]) -> None:
    """Refuse arguments that MPyC would take for its own."""
    import mpyc  # type: ignore[import-not-found]  # the engine's environment has it

    parser = mpyc._get_arg_parser()
    options, rest = parser.parse_known_args(arguments)
    if options != parser.parse_known_args([])[0] or rest != arguments:
        raise job.failed("options")


def _module(job: Any) -> types.ModuleType:
    made: Any = types.ModuleType("secureflow_job")
    made.parameters = dict(job.parameters)
    made.number = job.number
    made.outputs = job.folder / "outputs"
    made.progress = lambda share: job.progress("compute", share)
    made.column = lambda name, column: _column(job, name, column)
    made.array = lambda name: _array(job, name)
    return made  # type: ignore[no-any-return]


def _column(job: Any, name: str, column: str) -> list[str]:
    with job.inputs[name].open(encoding="utf-8", newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


def _array(job: Any, name: str) -> Any:
    import numpy as np

    return np.load(job.inputs[name], allow_pickle=False)


def _return(job: Any, printed: Path) -> None:
    """Name what the program wrote; what is no plain file is left."""
    for path in sorted((job.folder / "outputs").iterdir()):
        if path.is_file() and not path.is_symlink() and path.name != PRINTED:
            job.output(path.name, path)
    job.output(PRINTED, printed)
