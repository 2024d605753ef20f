"""Computing on shares: SPU bare, and through the platform.

    python -m benchmarks.mpc [--protocols ABY3 CHEETAH] [--through MODULE:FUNCTION]

Needs SPU's environment: SECUREFLOW_SPU_PYTHON names its interpreter. Each party is a process of its
own, joined by plain forwarders on this machine; the first receives. What a process takes to start
and to compile is in every figure.

Rows of operations (`sum 1M`, `compare 10k`, `matmul 256`) are written straight against SPU
(`baresum.py`) and stand on both sides unless a `--through` runs them. Rows of programs of the
catalogue are bare in `bare_seconds` too: what our own code costs is `seconds` through the platform.
Last line: `{"rows": [{"name", "bare_seconds", "seconds", "ratio", "mb", "peak_mb"}]}`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engineparties import Run, run
from benchmarks.enginerows import Through, interpreter, row, through_of
from benchmarks.psi import checked
from secureflow.adapters.mpcengines import spu_catalogue

BARE = Path(__file__).parent / "baresum.py"
PARTIES = {"ABY3": 3, "CHEETAH": 2}
Arrays = Sequence[Mapping[str, NDArray[Any]]]


def operations(parties: int) -> dict[str, tuple[str, Arrays]]:
    """Return the table of the design's notes: name → program and inputs."""
    drawn = np.random.default_rng(1)
    return {
        "sum 1M": ("sum", [{"values": drawn.integers(0, 1000, 1_000_000)} for _ in range(parties)]),
        "compare 10k": (
            "compare",
            [{"values": drawn.integers(0, 1000, 10_000)} for _ in range(parties)],
        ),
        "matmul 256": (
            "matmul",
            [{"values": drawn.normal(size=(256, 256))} for _ in range(parties)],
        ),
    }


def programs(parties: int) -> dict[str, tuple[str, Arrays]]:
    """Return the programs of the catalogue with inputs; a third party only computes along."""
    drawn = np.random.default_rng(2)
    idle: list[dict[str, NDArray[Any]]] = [{} for _ in range(parties - 2)]
    return {
        "ranking 1k": (
            "ranking",
            [{"values": drawn.integers(0, 1 << 40, 1000)} for _ in range(parties)],
        ),
        "sealed-bid 1k": (
            "sealed-bid",
            [{"bids": drawn.integers(0, 1 << 40, 1000)} for _ in range(parties)],
        ),
        "correlation 100k x 5+5": (
            "correlation",
            [*({"columns": drawn.normal(size=(100_000, 5))} for _ in range(2)), *idle],
        ),
        "logistic 1k x 30": (
            "logistic",
            [
                {"columns": drawn.normal(size=(1000, 30))},
                {"weights": drawn.normal(size=31)},
                *idle,
            ],
        ),
    }


def rows_of(
    entry: Path,
    protocol: str,
    cases: Mapping[str, tuple[str, Arrays]],
    through: Through | None,
) -> Iterator[dict[str, Any]]:
    """Measure."""
    for name, (program, arrays) in cases.items():
        told = f"{name} {protocol}"
        with TemporaryDirectory() as made:
            folder = Path(made)
            inputs = saved(folder, arrays)
            what = Run(interpreter("spu"), entry, program, protocol)
            bare = checked(run(what, inputs, folder / "bare"), told)
            seconds = through(what, inputs, folder) if through else bare.seconds
        yield row(told, bare.seconds, seconds, bare)


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
    parser.add_argument("--through", metavar="MODULE:FUNCTION")
    asked = parser.parse_args()
    through = through_of(asked.through)
    rows: list[dict[str, Any]] = []
    sides: tuple[tuple[Path, Callable[[int], dict[str, tuple[str, Arrays]]]], ...] = (
        (BARE, operations),
        (spu_catalogue.FOLDER / "entry.py", programs),
    )
    for protocol in asked.protocols:
        for entry, cases in sides:
            rows += rows_of(entry, protocol, cases(PARTIES[protocol]), through)
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
