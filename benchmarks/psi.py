"""Private set intersection: the engines bare, and through the platform.

    python -m benchmarks.psi [--sizes 100000 1000000] [--protocols RR22 KKRT ECDH] [--openmined N]

Needs the engines' environments: SECUREFLOW_SPU_PYTHON and SECUREFLOW_OPENMINED_PYTHON name their
interpreters. Two parties whose lists share half of their identifiers, each a process of its own,
joined by plain forwarders on this machine; the first receives.

`bare_seconds` is `spu.psi.psi_execute` on files of identifiers of 29 characters, as its own
examples call it: keys in, rows out, without random keys and buckets of ours. `seconds` is our own
program (`spu_programs/psi.py`), through the platform where `--through` names what runs it; `mb` and
`peak_mb` are its bytes through the forwarders and the memory of its larger process. What a process
takes to start is in both. Last line: `{"rows": [{"name", "bare_seconds", "seconds", "ratio", "mb",
"peak_mb"}]}`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.engineparties import Measured, Run, run
from benchmarks.enginerows import Through, interpreter, row, through_of
from secureflow.adapters.mpcengines import openmined, spu_catalogue

BARE = Path(__file__).parent / "barepsi.py"


def lists(folder: Path, size: int) -> tuple[list[dict[str, Path]], list[dict[str, Path]]]:
    """Write two lists that share half of their identifiers: as keys, and as SPU's own CSV."""
    keys, csvs = [], []
    for number in range(2):
        first = number * (size // 2)
        path, table = folder / f"{number}.keys", folder / f"{number}.csv"
        with path.open("wb") as hashed, table.open("wb") as plain:
            plain.write(b"id\n")
            for place in range(first, first + size):
                word = b"person%023d" % place
                hashed.write(sha256(word).digest()[:16])
                plain.write(word + b"\n")
        keys.append({"keys": path})
        csvs.append({"keys": table})
    return keys, csvs


def checked(measured: Measured, what: str) -> Measured:
    """Return a run in which everybody is done."""
    for one in measured.ended:
        if "done" not in one.said:
            raise SystemExit(f"{what}: {one.said}\n{one.printed[-3000:]}")
    return measured


def spu_rows(
    sizes: Sequence[int], protocols: Sequence[str], through: Through | None
) -> Iterator[dict[str, Any]]:
    """Measure SPU."""
    python, entry = interpreter("spu"), spu_catalogue.FOLDER / "entry.py"
    for size in sizes:
        for protocol in protocols:
            name = f"psi {protocol} {size} x {size}"
            with TemporaryDirectory() as made:
                folder = Path(made)
                keys, csvs = lists(folder, size)
                bare = checked(
                    run(Run(python, BARE, "bare", protocol), csvs, folder / "bare"), name
                )
                what = Run(python, entry, "psi", protocol)
                ours = checked(run(what, keys, folder / "ours"), name)
                seconds = through(what, keys, folder) if through else ours.seconds
            yield row(name, bare.seconds, seconds, ours)


def openmined_rows(size: int, through: Through | None) -> Iterator[dict[str, Any]]:
    """Measure openmined-psi: our program is all there is, so it stands on both sides."""
    python = interpreter("openmined")
    for reveal in ("ids", "size"):
        name = f"psi openmined {reveal} {size} x {size}"
        with TemporaryDirectory() as made:
            folder = Path(made)
            keys, _ = lists(folder, size)
            what = Run(python, openmined.PROGRAM, "psi", parameters={"reveal": reveal})
            ours = checked(run(what, keys, folder / "ours"), name)
            seconds = through(what, keys, folder) if through else ours.seconds
        yield row(name, ours.seconds, seconds, ours)


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--protocols", nargs="*", default=["RR22", "KKRT", "ECDH"])
    parser.add_argument("--openmined", type=int, default=10_000, metavar="IDS")
    parser.add_argument("--through", metavar="MODULE:FUNCTION")
    asked = parser.parse_args()
    through = through_of(asked.through)
    rows = list(spu_rows(asked.sizes, asked.protocols, through))
    rows += openmined_rows(asked.openmined, through) if asked.openmined else []
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
