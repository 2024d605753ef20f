"""`make green`: is the test command green ten times out of ten? Run after run, each one on record.

    python -m tests.green [--directory DIR] [--quiet 3] [--busy 3] [--shuffled 4]

Runs `make test` at the present commit as often as asked: on the machine as it is, beside a busy
loop on each core, and with the order of files shuffled. Each has its log and one line of JSON in
`runs.jsonl`: commit, mode, seed, when it began, seconds, result. Runs that are on record for the
commit are not repeated, so that ten of them fit into several sittings; the first red one ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUSY = "while True: pass"


@dataclass
class Run:
    """One line of the record."""

    commit: str
    mode: str
    seed: str
    began: str
    seconds: int
    result: int
    summary: str
    log: str


def main(arguments: list[str] | None = None) -> int:
    """Do what is missing; return 1 when a run was red."""
    parser = argparse.ArgumentParser(prog="python -m tests.green", description=__doc__)
    parser.add_argument("--directory", type=Path, default=ROOT / ".green")
    for mode, times in (("quiet", 3), ("busy", 3), ("shuffled", 4)):
        parser.add_argument(f"--{mode}", type=int, default=times)
    parser.add_argument("command", nargs="*", default=["make", "test"])
    wanted = parser.parse_args(arguments)
    wanted.directory.mkdir(parents=True, exist_ok=True)
    commit = commit_here()
    if commit.endswith("-dirty"):
        print("The tree differs from its commit: what is run now would be no evidence for it.")
        return 2
    done = Counter(one["mode"] for one in record(wanted.directory) if one["commit"] == commit)
    for mode in ("quiet", "busy", "shuffled"):
        for number in range(done[mode], getattr(wanted, mode)):
            run = once(wanted.directory, wanted.command, commit, mode, number)
            with (wanted.directory / "runs.jsonl").open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
            print(
                f"{run.mode} {run.seed}: {run.summary} in {run.seconds} s ({run.log})", flush=True
            )
            if run.result:
                return 1
    return 0


def once(directory: Path, command: list[str], commit: str, mode: str, number: int) -> Run:
    """Run the command once and return what is put on record."""
    seed = f"{commit[:8]}-{number}" if mode == "shuffled" else ""
    log = directory / f"{commit[:12]}-{mode}-{number}.log"
    began, start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
    words = [*command, f"SHUFFLE={seed}"] if seed else command
    with busy(os.cpu_count() or 1 if mode == "busy" else 0), log.open("w") as output:
        ended = subprocess.run(words, cwd=ROOT, stdout=output, stderr=output, check=False)
    lines = [line for line in log.read_text().splitlines() if " in " in line] or ["no summary"]
    return Run(
        commit, mode, seed, began, round(time.monotonic() - start), ended.returncode,
        lines[-1].strip("= "), str(log),
    )  # fmt: skip


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep so many cores busy with something else.

    Linux shares a core evenly among sessions (autogroup): in this one, the loops would starve the
    test process and leave the platform, whose processes have sessions of their own, as it was.
    """
    children = [
        subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) for _ in range(loops)
    ]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def commit_here() -> str:
    """Return the commit, with `-dirty` behind it when the tree differs from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--match=", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.strip()


def record(directory: Path) -> list[dict[str, str]]:
    """Return what is on record."""
    path = directory / "runs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
