"""Private set intersection: the engines bare, and through the platform.

    python -m benchmarks.psi [--sizes 100000 1000000] [--protocols RR22 KKRT ECDH] [--openmined N]
    python -m benchmarks.psi --through [--sizes 100000 1000000] [--protocols RR22] [--openmined N]

Needs the engines' environments where the demo keeps them (`python -m tests.engines spu`), or
SECUREFLOW_SPU_PYTHON and SECUREFLOW_OPENMINED_PYTHON name their interpreters; `--through` needs the
former. Two parties whose lists share half of their identifiers, the first of which receives.

`bare_seconds` is `spu.psi.psi_execute` on files of identifiers of 29 characters, as its own
examples call it: keys in, rows out, without random keys and buckets of ours. Each party is a
process of its own, joined by plain forwarders on this machine; what it takes to start is counted.

`seconds` is our own program (`spu_programs/psi.py`) in the same way; `mb` and `peak_mb` are its
bytes through the forwarders and the memory of its larger process. With `--through` they are those
of a job of the same files through centre, agents and sandbox (`benchmarks.through`): its attempt
reads, normalises and commits to the identifiers, opens channels, computes, and writes the result.
Last line: `{"rows": [{"name", "bare_seconds", "seconds", "ratio", "mb", "peak_mb"}]}`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.engineparties import Measured, Run, run
from benchmarks.enginerows import interpreter, row
from benchmarks.through import Figures, run_through
from secureflow.adapters.mpcengines import openmined, spu_catalogue
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, ProbingLimit
from secureflow.domain.specs.psi import ENGINES, PsiProtocol

BARE = Path(__file__).parent / "barepsi.py"
PARTIES = ("bank-a", "bank-b")
POLICY = """permit(principal, action == Action::"psi", resource)
  when { context.learns == "one" || context.learns == "size" };"""


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


def datasets_of(csvs: Sequence[Mapping[str, Path]]) -> dict[str, DatasetConfig]:
    """Return the parties' lists as their agents declare them."""
    column, most = ColumnConfig("id", "text"), ProbingLimit(1 << 40)
    return {
        party: DatasetConfig("customers", str(one["keys"]), "csv", (column,), probing=most)
        for party, one in zip(PARTIES, csvs, strict=True)
    }


def asked(protocol: PsiProtocol, size: int, *, reveal: str = "ids") -> dict[str, Any]:
    """Return the job, as it is submitted."""
    learns = {"learns": PARTIES[0]}
    if reveal == "size":
        learns = {"learns": "size", "receiver": PARTIES[0]}
    return {
        "kind": "psi", "key": ["none"], "columns": {party: {"key": ["id"]} for party in PARTIES},
        "protocol": protocol, "most_rows": size, **learns,
    }  # fmt: skip


def through_the_platform(
    folder: Path, csvs: Sequence[Mapping[str, Path]], job: Mapping[str, Any]
) -> Figures:
    """Run a job on the lists through centre and agents."""
    engine = ENGINES[job["protocol"]]
    return run_through(folder, engine, datasets_of(csvs), POLICY, job, "intersection")


def spu_rows(
    sizes: Sequence[int], protocols: Sequence[str], *, through: bool
) -> Iterator[dict[str, Any]]:
    """Measure SPU."""
    python, entry = interpreter("spu"), spu_catalogue.FOLDER / "entry.py"
    names: dict[str, PsiProtocol] = {"RR22": "rr22", "KKRT": "kkrt", "ECDH": "ecdh"}
    for size in sizes:
        for protocol in protocols:
            name = f"psi {protocol} {size} x {size}"
            with TemporaryDirectory() as made:
                folder = Path(made)
                keys, csvs = lists(folder, size)
                bare = checked(
                    run(Run(python, BARE, "bare", protocol), csvs, folder / "bare"), name
                )
                ours: Measured | Figures
                if through:
                    ours = through_the_platform(folder, csvs, asked(names[protocol], size))
                else:
                    what = Run(python, entry, "psi", protocol)
                    ours = checked(run(what, keys, folder / "ours"), name)
            yield row(name, bare.seconds, ours.seconds, ours)


def openmined_rows(size: int, *, through: bool) -> Iterator[dict[str, Any]]:
    """Measure openmined-psi: our program is all there is, so it stands on both sides."""
    python = interpreter("openmined")
    for reveal in ("ids", "size"):
        name = f"psi openmined {reveal} {size} x {size}"
        with TemporaryDirectory() as made:
            folder = Path(made)
            keys, csvs = lists(folder, size)
            what = Run(python, openmined.PROGRAM, "psi", parameters={"reveal": reveal})
            bare = checked(run(what, keys, folder / "ours"), name)
            ours: Measured | Figures = bare
            if through:
                job = asked("openmined", size, reveal=reveal)
                ours = through_the_platform(folder, csvs, job)
        yield row(name, bare.seconds, ours.seconds, ours)


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--protocols", nargs="*", help="default: all, with --through RR22")
    parser.add_argument("--openmined", type=int, metavar="IDS", help="default: 10000, or none")
    parser.add_argument("--through", action="store_true", help="through centre and agents")
    given = parser.parse_args()
    usual = (["RR22"], 0) if given.through else (["RR22", "KKRT", "ECDH"], 10_000)
    protocols = usual[0] if given.protocols is None else given.protocols
    small = usual[1] if given.openmined is None else given.openmined
    rows = list(spu_rows(given.sizes, protocols, through=given.through))
    rows += openmined_rows(small, through=given.through) if small else []
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
