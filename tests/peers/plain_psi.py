"""An engine that protects nothing, in place of SPU: parties send each other their keys.

`python -m tests.peers.plain_psi agent start --config FILE` runs an agent that has it. Its process
is a child of the agent's, as every engine's is, and goes over the job's real channels. Where a file
`hold` lies in the agent's folder, a run waits before that until it is gone, and says so by a file
`held`; a file `die` is taken away by the next one, whose process then kills itself in the middle.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from secureflow.adapters.mpcengines import registry
from secureflow.adapters.mpcengines.plan import Plan
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import PlainSandbox
from secureflow.agent.edge import main as agent
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Estimate,
    Progress,
    SecurityLabel,
)
from secureflow.domain.specs.psi import VERSIONS
from secureflow.kit.errors import SecureFlowError

LABEL = SecurityLabel("semi-honest", "nobody", "everything")
PROGRAM: Final = """
import json, os, signal, socket

def run(job):
    own = job.inputs["keys"].read_bytes()
    if job.number == 0:
        with socket.create_server(("127.0.0.1", job.port)) as server:
            line = server.accept()[0]
    else:
        host, _, port = job.addresses[0].rpartition(":")
        line = socket.create_connection((host, int(port)))
    line.sendall(len(own).to_bytes(4, "big") + own)
    theirs = taken(line, int.from_bytes(taken(line, 4), "big"))
    job.progress("compute", 0.5)
    MIDDLE
    known = set(keys(theirs))
    line.sendall(b"done")
    taken(line, 4)
    path = job.folder / "places.json"
    path.write_text(json.dumps([at for at, key in enumerate(keys(own)) if key in known]))
    job.output("places.json", path)
    return {"keys": len(keys(own)), "theirs": len(known)}

def taken(line, size):
    found = b""
    while len(found) < size:
        data = line.recv(size - len(found))
        if not data:
            raise ConnectionError
        found += data
    return found

def keys(data):
    return [data[at : at + 16] for at in range(0, len(data), 16)]
"""


def reached(point: str) -> None:
    """Come to a point of a run: tests that kill there replace this."""
    del point


@dataclass(frozen=True)
class PlainPsi:
    """`MpcEngine`.

    Args:
        folder: of the agent.
    """

    folder: Path

    def describe(self) -> EngineInfo:
        program = EngineProgram("", "ab" * 32, ("RR22",), (2, 2))
        return EngineInfo("spu", VERSIONS["spu"], {"RR22": LABEL}, {"psi": program}, (2, 2))

    def available(self) -> SecureFlowError | None:
        return None

    def estimate(self, *_: Any) -> Estimate:
        return Estimate(1, 1, 1.0)

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        await self._hold()
        outputs = frozenset({"places.json"})
        plan = Plan(self.describe(), Path(sys.executable), self._program(), outputs=outputs)
        runs = EngineRuns(PlainSandbox(), self.folder / "engines", unconfined=True)

        def told(phase: str, share: float) -> None:
            progress(phase, share)
            if (phase, share) == ("compute", 0.5):
                reached("compute")

        found = await runs.run(plan, job, told)
        reached("ended")
        if "places.json" not in found.outputs:
            return found
        matches = job.outputs / "matches.npy"
        places = json.loads(found.outputs["places.json"].read_text())
        np.save(matches, np.array(places, np.int64))
        return replace(found, outputs={"matches": matches})

    def _program(self) -> Path:
        """Write what the engine's process runs; return its path."""
        die, folder = self.folder / "die", self.folder / "engines"
        middle = "os.kill(os.getpid(), signal.SIGKILL)" if die.exists() else "pass"
        die.unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)
        path = folder / "plain.py"
        path.write_text(PROGRAM.replace("MIDDLE", middle))
        return path

    async def _hold(self) -> None:
        hold = self.folder / "hold"
        while hold.exists():
            (self.folder / "held").touch()
            await asyncio.sleep(0.02)


def run(config: Path) -> int:
    """Run the agent, with this engine and no other."""
    known: Any = registry.MAKES
    spu = known["spu"]
    known.clear()
    known["spu"] = replace(spu, make=lambda runs, python: PlainPsi(config.parent))
    return agent.run(config)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[4])))
