"""In the worker: what a party brings to an engine's program, and the result that it makes.

What an engine says is foreign: a file of numbers whose shape and range follow from the spec, or
nothing. The result is Parquet, with the parties' and columns' names beside the numbers. Of a
program of others it is the files that this wrote (`ownprogram_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.ownprogram_rows import files_table, write_csv, write_numbers
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.engineprograms import (
    COLUMNS,
    Correlation,
    Logistic,
    MpcSide,
    Ranking,
    SealedBid,
    input_of,
)
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Array = NDArray[Any]

_HEADER: Final = 1 << 16
"""Most bytes of a NumPy file beside its numbers."""
_LARGEST: Final = 1 << 32
"""Most bytes of an engine's output."""


class EngineRows:
    """What a party brings, read when it is asked for.

    Args:
        spec: checked, of an engine's program.
        config: the owner's declaration; None of a party that brings nothing.
        limits: of reading.
    """

    def __init__(self, spec: MpcSpec, config: DatasetConfig | None, limits: SourceLimits) -> None:
        self._spec = spec
        self._config = config
        self._limits = limits

    def write_input(self, party: str, path: Path) -> NDArray[np.int64]:
        """Write what a party brings as a file; return how many rows and columns that is.

        It is NumPy's, but for a program of others that asks for CSV.

        Raises:
            SecureFlowError: `malformed_cell` for an empty cell where a number must be; those of the
                source.
        """
        side = self._spec.side(party)
        if self._config is None or not side.columns:
            raise AssertionError(party)  # the agent asks whoever brings something
        read = open_source(self._config, self._limits).read(side.columns)
        own = self._spec.of_others
        if own is not None and not own.numbers:
            with path.open("r+b") as file:
                file.truncate()
                write_csv({name: read[name] for name in side.columns}, file)
            return np.array([len(read[side.columns[0]]), len(side.columns)], np.int64)
        columns = [np.asarray(read[name], np.float64) for name in side.columns]
        for name, values in zip(side.columns, columns, strict=True):
            if bool(np.isnan(values).any()):
                raise _empty(name)
        single = input_of(self._spec.program_of_engine, side) != COLUMNS and own is None
        with path.open("r+b") as file:  # its owner has made it: nothing else can be written here
            file.truncate()
            if single:
                np.save(file, columns[0], allow_pickle=False)
            else:
                write_numbers(columns, file)
        return np.array([len(columns[0]), len(columns)], np.int64)

    def write_result(self, party: str, outputs: Path, path: Path) -> NDArray[np.int64]:
        """Write the result from an engine's outputs; return how many lines it has.

        Args:
            party: a receiver.
            outputs: the folder with a NumPy file for each output, or a program's files.
            path: of the result, Parquet.

        Raises:
            SecureFlowError: `engine_output_refused`.
        """
        del party
        program = self._spec.program_of_engine
        table = (
            _TABLES[type(program)](self._spec, program, outputs)
            if self._spec.of_others is None
            else files_table(outputs)
        )
        with path.open("r+b") as file:
            file.truncate()
            pq.write_table(table, file)
        return np.array([table.num_rows], np.int64)


def _bringing(spec: MpcSpec) -> list[MpcSide]:
    return [one for one in spec.sides if one.columns]


def _ranking(spec: MpcSpec, program: Ranking, outputs: Path) -> pa.Table:
    del program
    parties = [one.party for one in _bringing(spec)]
    ranks = _read(outputs, "ranks", np.int64, 2)
    _require(ranks.shape[0] == len(parties), ranks >= 1, ranks <= len(parties))
    measures = pa.array(np.arange(1, ranks.shape[1] + 1))
    columns = {party: pa.array(ranks[at]) for at, party in enumerate(parties)}
    return pa.table({"measure": measures, **columns})


def _sealed_bid(spec: MpcSpec, program: SealedBid, outputs: Path) -> pa.Table:
    winner = _read(outputs, "winner", np.int64, 1)
    price = _read(outputs, "price", np.float64 if program.decimals else np.int64, 1)
    _require(len(winner) == len(price), winner >= 0, winner < len(spec.parties), np.isfinite(price))
    names = np.array(spec.parties, object)[winner]
    lots = pa.array(np.arange(1, len(winner) + 1))
    return pa.table({"lot": lots, "winner": pa.array(names, pa.string()), "price": pa.array(price)})


def _correlation(spec: MpcSpec, program: Correlation, outputs: Path) -> pa.Table:
    del program
    named = [(side.party, name) for side in _bringing(spec) for name in side.columns]
    found = _read(outputs, "correlation", np.float64, 2)
    _require(found.shape == (len(named), len(named)), np.abs(found) <= 1.0)
    lines = list(_pairs(named))
    texts = {
        title: pa.array([line[at] for line in lines], pa.string())
        for at, title in enumerate(("party", "column", "other_party", "other_column"))
    }
    values = [found[i, j] for i, j in zip(*np.triu_indices(len(named)), strict=True)]
    return pa.table({**texts, "correlation": pa.array(np.array(values, np.float64))})


def _pairs(named: list[tuple[str, str]]) -> Iterator[tuple[str, str, str, str]]:
    for i, j in zip(*np.triu_indices(len(named)), strict=True):
        yield (*named[i], *named[j])


def _logistic(spec: MpcSpec, program: Logistic, outputs: Path) -> pa.Table:
    del spec
    if program.output == "class":
        told = _read(outputs, "class", np.int64, 1)
        _require(told >= 0, told <= 1)
    else:
        told = _read(outputs, "probability", np.float64, 1)
        _require(told >= 0.0, told <= 1.0)
    rows = pa.array(np.arange(1, len(told) + 1))
    return pa.table({"row": rows, program.output: pa.array(told)})


_TABLES: Final[Mapping[type[Any], Callable[[MpcSpec, Any, Path], pa.Table]]] = {
    Ranking: _ranking,
    SealedBid: _sealed_bid,
    Correlation: _correlation,
    Logistic: _logistic,
}


def _read(outputs: Path, name: str, kind: type[Any], dimensions: int) -> Array:
    """Return an engine's output.

    Raises:
        SecureFlowError: `engine_output_refused`.
    """
    path, found = outputs / f"{name}.npy", None
    with suppress(OSError, ValueError, EOFError):
        if path.stat().st_size <= _LARGEST + _HEADER:
            found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray) or found.dtype != kind or found.ndim != dimensions:
        raise _refused()
    return found


def _require(*checks: Any) -> None:
    if not all(bool(np.all(one)) for one in checks):
        raise _refused()


def _refused() -> SecureFlowError:
    return SecureFlowError(
        "engine_output_refused",
        "What the engine says is not what the program gives.",
        "The next attempt runs it again; if this happens again, report it.",
    )


def _empty(name: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_cell",
        Text("Column {column!r} has empty cells, and the program needs a number in each.",
             column=name),
        "Fill them, or leave these rows out of the dataset at every party.",
        {"column": name},
    )  # fmt: skip
