"""An engine that protects nothing: parties send one another their numbers over TCP, and add."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secureflow.adapters.mpcengines.checks import check_choice, check_job
from secureflow.adapters.mpcengines.plan import Plan
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.mpcengines.speaking import anybody
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Estimate,
    Progress,
    SecurityLabel,
    Shapes,
)
from secureflow.kit.errors import SecureFlowError

PROGRAM = '''
import socket, threading, time

def exchange(job, number):
    """Send a number to every party behind this one, and take those of the ones before."""
    found, lock = {job.number: number}, threading.Lock()
    own = socket.create_server(("127.0.0.1", job.port))
    waiting = []
    for party in range(job.number + 1, job.parties):
        host, _, port = job.addresses[party].rpartition(":")
        waiting.append(socket.create_connection((host, int(port))))
        waiting[-1].sendall(b"%d\\n" % job.number)
    for party in range(job.number):
        waiting.append(own.accept()[0])
    job.progress("compute", 0.5)
    for one in waiting:
        one.sendall(b"%d %d\\n" % (job.number, number))
    for one in waiting:
        lines = one.makefile("rb")
        line = lines.readline()
        while line and b" " not in line:
            line = lines.readline()
        who, what = line.split()
        found[int(who)] = int(what)
        one.shutdown(socket.SHUT_WR)
    return found

def run(job):
    number = int(job.inputs["number"].read_text().split()[-1])
    act(job)
    found = exchange(job, number)
    path = job.folder / "sum.txt"
    path.write_text(str(sum(found.values())))
    job.output("sum.txt", path)
    return {"parties": len(found)}

def act(job):
    {act}
'''


class ToyEngine:
    """`MpcEngine`.

    Args:
        runs: where it runs.
        folder: for its program.
        act: what its program does before it talks; tests name other things than nothing.
        python: its interpreter.
    """

    def __init__(
        self, runs: EngineRuns, folder: Path, act: str = "pass", python: str = sys.executable
    ) -> None:
        self._runs = runs
        self._python = Path(python)
        self._program = folder / f"toy{abs(hash(act))}.py"
        self._program.write_text(PROGRAM.replace("{act}", act))

    def describe(self) -> EngineInfo:
        label = SecurityLabel("semi-honest", "no party", "everything", transport="charter")
        program = EngineProgram("sum", "0" * 64, ("plain",), (2, 16))
        return EngineInfo("toy", "1", {"plain": label}, {"sum": program}, (2, 16))

    def available(self) -> SecureFlowError | None:
        return self._runs.problem("toy")

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        check_choice(self.describe(), program, protocol, len(shapes))
        return Estimate(100 * len(shapes), 32 << 20, 0.1)

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        if (problem := self.available()) is not None:
            raise problem
        check_job(self.describe(), job)
        plan = Plan(
            self.describe(), self._python, self._program, outputs=frozenset({"sum.txt"}),
            speech=anybody,
        )  # fmt: skip
        return await self._runs.run(plan, job, progress)


def numbers(folder: Path, values: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Write each party's number; return its inputs."""
    made = {}
    for party, value in values.items():
        path = folder / f"{party}.txt"
        path.write_text(f"number\n{value}\n")
        made[party] = {"number": path}
    return made
