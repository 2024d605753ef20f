"""The engines that the contract runs over, each with a small job and what must come of it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from peers.engines import Table, job_of
from peers.mpycs import demand_mpyc
from peers.sandboxes import demand_sandbox
from peers.toyengine import ToyEngine, numbers

from secureflow.adapters.mpcengines.mpyc_engine import MpycEngine
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.application.ports.mpcengine import EngineCode, EngineJob, MpcEngine

Act = str
"""Python that the engine's process runs before it talks, `pass` for nothing."""


@dataclass(frozen=True)
class Case:
    """An engine, and a job that sums a number of each party.

    Args:
        make: runs, folder, act → the engine.
        job: the job for these parties, as `act` of one party has it.
        output: the file that holds the result.
        expected: what stands in it for the numbers 1, 2, 3.
    """

    make: Callable[[EngineRuns, Path, Act], MpcEngine]
    job: Callable[[Path, Act], EngineJob]
    output: str
    expected: str


PARTIES = ("a", "b", "c")


def _toy_job(folder: Path, act: Act) -> EngineJob:
    del folder, act
    return job_of(PARTIES, receivers=("a", "c"))


MPYC_PROGRAM = """
from mpyc.runtime import mpc
import secureflow_job

def act():
    {act}

act()
secint = mpc.SecInt(32)
number = int(secureflow_job.column("number", "number")[0])
mpc.run(mpc.start())
total = mpc.run(mpc.output(mpc.sum(mpc.input(secint(number)))))
mpc.run(mpc.shutdown())
(secureflow_job.outputs / "sum.txt").write_text(str(int(total)))
"""


def _mpyc_job(folder: Path, act: Act) -> EngineJob:
    code = Path(mkdtemp(dir=folder))
    (code / "program.py").write_text(MPYC_PROGRAM.replace("{act}", act))
    return job_of(
        PARTIES, receivers=("a", "c"), program="bundle", protocol="shamir",
        code=EngineCode(code, "program.py", 1 << 20),
    )  # fmt: skip


def _mpyc(runs: EngineRuns, folder: Path, act: Act) -> MpcEngine:
    del folder, act
    return MpycEngine(runs, demand_mpyc())


CASES: Mapping[str, Case] = {
    "toy": Case(ToyEngine, _toy_job, "sum.txt", "6"),
    "mpyc": Case(_mpyc, _mpyc_job, "sum.txt", "6"),
}


class Bench:
    """One case with a folder of its own, in a sandbox that confines."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self.folder = folder
        self.runs = EngineRuns(BubblewrapSandbox(), folder / "engines")

    def engine(self, act: Act = "pass") -> MpcEngine:
        return self.case.make(self.runs, self.folder, act)

    def job(self, act: Act = "pass") -> EngineJob:
        return self.case.job(self.folder, act)

    def table(self, **acts: Act) -> Table:
        """Return the parties, some of which act; one that is `away` has no engine."""
        inputs = numbers(self.folder, {"a": 1, "b": 2, "c": 3})
        there = [one for one in PARTIES if acts.get(one) != "away"]
        engines = {one: self.engine(acts.get(one, "pass")) for one in there}
        return Table(engines, self.folder, self.job(), inputs)

    def acting(self, party: str, act: Act) -> dict[str, dict[str, Any]]:
        """Return what the job of a party that acts has otherwise."""
        code = self.job(act).code
        return {party: {} if code is None else {"code": code}}

    def left(self) -> list[str]:
        """Return what runs left behind, beside logs."""
        folder = self.folder / "engines"
        return sorted(one.name for one in folder.iterdir() if one.name != "logs")


@contextmanager
def bench_of(name: str) -> Iterator[Bench]:
    demand_sandbox("root")
    folder = Path(mkdtemp(prefix="sf-engines-", dir="/dev/shm"))
    try:
        yield Bench(CASES[name], folder)
    finally:
        shutil.rmtree(folder)


async def soon(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(120):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
