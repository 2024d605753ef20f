"""Computing on shares: SPU bare, and through the platform; and the sum that is built in.

    python -m benchmarks.mpc [--protocols ABY3 CHEETAH] [--through] [--small]

Needs SPU's environment: SECUREFLOW_SPU_PYTHON names its interpreter, or it lies where the demo
keeps it (`python -m tests.engines spu`); `--through` needs the latter. Bare, each party is a
process of its own, joined by plain forwarders on this machine; the first receives. What a process
takes to start and to compile is in every figure.

Rows of operations (`sum 1M`, `compare 10k`, `matmul 256`) are written straight against SPU
(`baresum.py`): nobody can submit them, so their `seconds` are null, as those of all programs are
without `--through`. Rows of programs of the catalogue are bare in `bare_seconds`; with `--through`
`seconds`, `mb` and `peak_mb` are those of the same program on the same numbers as a job
(`through.py`), and `joint-sums 1M x 3` is added, the masked sum (`jointsums.py`). `--small` is a
tenth of everything, to see that it runs.
Last line: `{"rows": [{"name", "bare_seconds", "seconds", "ratio", "mb", "peak_mb"}]}`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.engineparties import Run, run
from benchmarks.enginerows import interpreter, row
from benchmarks.jointsums import joint_sums_row
from benchmarks.psi import checked
from benchmarks.through import Figures, run_through
from secureflow.adapters.mpcengines import spu_catalogue
from secureflow.domain.schemas import ColumnConfig, DatasetConfig

BARE = Path(__file__).parent / "baresum.py"
PARTIES = {"ABY3": 3, "CHEETAH": 2}
NAMES = ("bank-a", "bank-b", "bank-c")
POLICY = """permit(principal, action == Action::"mpc", resource)
  when { context.engine_program != "" };"""
CONNECT = 120.0
"""Seconds: SPU takes a while to load where others compute as well."""
Arrays = Sequence[Mapping[str, NDArray[Any]]]


def operations(parties: int, part: int) -> dict[str, tuple[str, Arrays]]:
    """Return the table of the design's notes: name → program and inputs."""
    drawn = np.random.default_rng(1)
    many, some, side = 1_000_000 // part, 10_000 // part, 256 // part
    return {
        f"sum {_size(many)}": (
            "sum",
            [{"values": drawn.integers(0, 1000, many)} for _ in range(parties)],
        ),
        f"compare {_size(some)}": (
            "compare",
            [{"values": drawn.integers(0, 1000, some)} for _ in range(parties)],
        ),
        f"matmul {side}": (
            "matmul",
            [{"values": drawn.normal(size=(side, side))} for _ in range(parties)],
        ),
    }


def programs(parties: int, part: int) -> dict[str, tuple[str, Arrays]]:
    """Return the programs of the catalogue with inputs; a third party only computes along."""
    drawn = np.random.default_rng(2)
    idle: list[dict[str, NDArray[Any]]] = [{} for _ in range(parties - 2)]
    few, many = 1000 // part, 100_000 // part
    return {
        f"ranking {_size(few)}": (
            "ranking",
            [{"values": drawn.integers(0, 1 << 40, few)} for _ in range(parties)],
        ),
        f"sealed-bid {_size(few)}": (
            "sealed-bid",
            [{"bids": drawn.integers(0, 1 << 40, few)} for _ in range(parties)],
        ),
        f"correlation {_size(many)} x 5+5": (
            "correlation",
            [*({"columns": drawn.normal(size=(many, 5))} for _ in range(2)), *idle],
        ),
        f"logistic {_size(few)} x 30": (
            "logistic",
            [
                {"columns": drawn.normal(size=(few, 30))},
                {"weights": drawn.normal(size=31)},
                *idle,
            ],
        ),
    }


def _size(count: int) -> str:
    for unit, of in (("M", 1_000_000), ("k", 1000)):
        if count >= of:
            return f"{count // of}{unit}"
    return str(count)


def rows_of(
    entry: Path, protocol: str, cases: Mapping[str, tuple[str, Arrays]], *, through: bool
) -> Iterator[dict[str, Any]]:
    """Measure."""
    for name, (program, arrays) in cases.items():
        told = f"{name} {protocol}"
        with TemporaryDirectory() as made:
            folder = Path(made)
            inputs = saved(folder, arrays)
            what = Run(interpreter("spu"), entry, program, protocol, connect=CONNECT)
            bare = checked(run(what, inputs, folder / "bare"), told)
            ours = as_a_job(program, protocol, arrays, folder) if through else None
        yield row(told, bare.seconds, None if ours is None else ours.seconds, ours or bare)


def as_a_job(program: str, protocol: str, arrays: Arrays, folder: Path) -> Figures:
    """Run a program of the catalogue through the platform."""
    parties = NAMES[: len(arrays)]
    datasets = {
        party: _dataset(folder / f"{party}.parquet", own) if own else None
        for party, own in zip(parties, arrays, strict=True)
    }
    asked: dict[str, Any] = {"name": program}
    if program == "logistic":
        asked["model"] = next(
            one for one, own in zip(parties, arrays, strict=True) if "weights" in own
        )
    columns = {
        party: {"columns": [column.name for column in one.columns]}
        for party, one in datasets.items()
        if one is not None
    }
    request = {
        "kind": "mpc",
        "program": asked,
        "protocol": protocol.lower(),
        "inputs": columns,
        "compute": [party for party, one in datasets.items() if one is None],
        "receivers": [parties[0]],
        "attempts": 1,
    }
    return run_through(folder, "spu", datasets, POLICY, request, "computation")


def _dataset(path: Path, own: Mapping[str, NDArray[Any]]) -> DatasetConfig:
    (array,) = own.values()
    table = array if array.ndim == 2 else array[:, None]
    named = {f"c{at}": table[:, at] for at in range(table.shape[1])}
    pq.write_table(pa.table(named), path)
    columns = tuple(ColumnConfig(name, "number") for name in named)
    return DatasetConfig("numbers", str(path), "parquet", columns)


def saved(folder: Path, arrays: Arrays) -> list[dict[str, Path]]:
    """Write each party's inputs."""
    made = []
    for number, own in enumerate(arrays):
        made.append({name: folder / f"{number}.{name}.npy" for name in own})
        for name, array in own.items():
            np.save(made[-1][name], array)
    return made


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocols", nargs="*", default=list(PARTIES))
    parser.add_argument("--through", action="store_true", help="run programs as jobs as well")
    parser.add_argument("--small", action="store_true", help="a tenth of everything")
    asked = parser.parse_args()
    part = 10 if asked.small else 1
    rows: list[dict[str, Any]] = []
    for protocol in asked.protocols:
        count = PARTIES[protocol]
        rows += rows_of(BARE, protocol, operations(count, part), through=False)
        cases = programs(count, part)
        entry = spu_catalogue.FOLDER / "entry.py"
        rows += rows_of(entry, protocol, cases, through=asked.through)
    if asked.through:
        rows.append(joint_sums_row(1_000_000 // part, 1 if asked.small else 5))
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
