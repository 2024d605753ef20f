"""What the embedded ledger costs: durable appends against bare SQLite, and the size of proofs.

Prints one JSON object. Baselines are measured in the same run and interleaved with what they are
compared to, on the same disk with the same settings (WAL, synchronous=FULL):
- `raw_commits_per_s`: one leaf-sized row per transaction;
- `raw_same_rows_per_s`: the rows that one append writes (leaf, nodes, checkpoint, head) per
  transaction, through the bare driver, without hashing, signing or an event loop.

Usage: python benchmarks/ledger.py [--dir DIR] [--appends N] [--leaves N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.ports.storage import PendingLeaf
from secureflow.engines.ledger.leaves import Leaf, sign_leaf
from secureflow.engines.ledger.merkle import verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.crypto import SigningKey

GROUP = 100
ROUNDS = 10
ORIGIN = "benchmark.example"
KEY = SigningKey.generate()


def leaves(first: int, count: int) -> list[PendingLeaf]:
    """Return signed leaves whose `at` makes each one different."""
    made = (
        sign_leaf(Leaf("noted", ORIGIN, "server", at, "00" * 32), KEY)
        for at in range(first, first + count)
    )
    return [PendingLeaf("", 0, 0, "noted", "server", leaf.data()) for leaf in made]


def bare(path: Path) -> sqlite3.Connection:
    """Open SQLite as the adapter does, with a table for plain rows and the log's own shapes."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(
        """
        CREATE TABLE plain (id INTEGER PRIMARY KEY, data BLOB);
        CREATE TABLE leaf (number INTEGER PRIMARY KEY, hash BLOB UNIQUE, data BLOB, job TEXT);
        CREATE INDEX leaf_job ON leaf (job, number);
        CREATE TABLE node (place INTEGER PRIMARY KEY, hash BLOB);
        CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT);
        CREATE TABLE head (one INTEGER PRIMARY KEY, size INTEGER);
        INSERT INTO head VALUES (1, 0);
        """
    )
    return connection


def raw_commits(connection: sqlite3.Connection, batch: list[PendingLeaf]) -> None:
    """One plain row per durable transaction."""
    for leaf in batch:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO plain (data) VALUES (?)", (leaf.data,))
        connection.execute("COMMIT")


def raw_same_rows(connection: sqlite3.Connection, first: int, batch: list[PendingLeaf]) -> None:
    """The rows of one append per durable transaction."""
    for number, leaf in enumerate(batch, start=first):
        nodes = [(2 * number, leaf.data[:32])]
        nodes += [(2 * number + 1, leaf.data[:32])] if number & 1 else []
        connection.execute("BEGIN IMMEDIATE")
        row = (number, number.to_bytes(32, "little"), leaf.data, "")
        connection.execute("INSERT INTO leaf VALUES (?, ?, ?, ?)", row)
        connection.executemany("INSERT INTO node VALUES (?, ?)", nodes)
        connection.execute("INSERT INTO checkpoint VALUES (?, ?)", (number + 1, "x" * 196))
        connection.execute("UPDATE head SET size = ?", (number + 1,))
        connection.execute("COMMIT")


async def rate(count: int, call: Callable[[], Awaitable[Any]]) -> float:
    """Return how many of `count` leaves a second the call handled."""
    start = time.perf_counter()
    await call()
    return count / (time.perf_counter() - start)


async def appends(ledger: SqlLedger, directory: Path, per_round: int) -> dict[str, float]:
    """Measure in alternating rounds and return medians."""
    connection = bare(directory / "bare.db")
    rates: dict[str, list[float]] = {"raw": [], "same": [], "single": [], "grouped": []}
    for turn in range(ROUNDS):
        first = turn * (per_round + 20 * GROUP)
        batch = leaves(first, per_round)
        more = leaves(first + per_round, 20 * GROUP)

        async def raw(batch: list[PendingLeaf] = batch) -> None:
            raw_commits(connection, batch)

        async def same(batch: list[PendingLeaf] = batch, first: int = turn * per_round) -> None:
            raw_same_rows(connection, first, batch)

        async def single(batch: list[PendingLeaf] = batch) -> None:
            for leaf in batch:
                await ledger.append([leaf])

        async def grouped(more: list[PendingLeaf] = more) -> None:
            for start in range(0, len(more), GROUP):
                await ledger.append(more[start : start + GROUP])

        rates["raw"].append(await rate(per_round, raw))
        rates["single"].append(await rate(per_round, single))
        rates["same"].append(await rate(per_round, same))
        rates["grouped"].append(await rate(len(more), grouped))
    connection.close()
    return {name: statistics.median(values) for name, values in rates.items()}


async def proofs(ledger: SqlLedger, size: int) -> dict[str, Any]:
    """Grow the log to `size` leaves and measure proofs at many places, each verified."""
    have = parse_note(await ledger.head()).checkpoint.size
    size = max(size, have + 1000)
    for begin in range(have, size, 1000):
        await ledger.append(leaves(1_000_000_000 + begin, min(1000, size - begin)))
    head = parse_note(await ledger.head()).checkpoint
    old = parse_note(await ledger.note(have)).checkpoint
    lengths, times = [], []
    for index in range(0, head.size, max(1, head.size // 200)):
        start = time.perf_counter()
        proof = await ledger.inclusion(index, head.size)
        times.append(time.perf_counter() - start)
        entry = (await ledger.entries(start=index, limit=1))[0]
        if not verify_inclusion(entry.hash, index, head.size, proof, head.root):
            raise SystemExit(f"the proof of leaf {index} does not hold")
        lengths.append(len(proof))
    consistency = await ledger.consistency(old.size, head.size)
    if not verify_consistency(old.size, head.size, old.root, head.root, consistency):
        raise SystemExit("the consistency proof does not hold")
    return {
        "log_size": head.size,
        "inclusion_hashes_max": max(lengths),
        "inclusion_ms_median": round(1000 * statistics.median(times), 3),
        "consistency_hashes": len(consistency),
    }


async def measure(directory: Path, per_round: int, size: int) -> dict[str, Any]:
    """Run everything in one directory."""
    database = Database(f"sqlite:///{directory}/ledger.db")
    await database.start()
    ledger = SqlLedger(database, KEY, ORIGIN)
    await ledger.start()
    rates = await appends(ledger, directory, per_round)
    result = {
        "raw_commits_per_s": round(rates["raw"]),
        "raw_same_rows_per_s": round(rates["same"]),
        "single_appends_per_s": round(rates["single"]),
        "grouped_appends_per_s": round(rates["grouped"]),
        "group": GROUP,
        "single_of_raw_commits": round(rates["single"] / rates["raw"], 3),
        "single_of_raw_same_rows": round(rates["single"] / rates["same"], 3),
        "grouped_of_single": round(rates["grouped"] / rates["single"], 1),
    }
    result |= await proofs(ledger, size)
    await ledger.stop()
    await database.close()
    return result


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--dir", type=Path, help="where to write; decides which disk is measured")
    parser.add_argument("--appends", type=int, default=100, help="single appends per round")
    parser.add_argument("--leaves", type=int, default=100_000, help="size of the log for proofs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
        result = asyncio.run(measure(Path(directory), arguments.appends, arguments.leaves))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
