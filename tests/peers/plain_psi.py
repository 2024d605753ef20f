"""An engine that protects nothing, in place of SPU: parties send each other their keys.

`python -m tests.peers.plain_psi agent start --config FILE` runs an agent that has it. It goes over
the job's real channels. Where a file `hold` lies in the agent's folder, a run waits in the middle
until that is gone, and says so by a file `held`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from secureflow.adapters.mpcengines import registry
from secureflow.agent.edge import main as agent
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Estimate,
    SecurityLabel,
)
from secureflow.domain.specs.psi import VERSIONS
from secureflow.kit.errors import SecureFlowError

LABEL = SecurityLabel("semi-honest", "nobody", "everything")


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

    async def run(self, job: EngineJob, progress: Any) -> EngineResult:
        (channel,) = job.channels.values()
        data = job.inputs["keys"].read_bytes()
        await channel.send(data)
        await self._hold()
        theirs = await channel.receive()
        if theirs is None:
            raise SecureFlowError("peer_broken", f"{channel.peer} went")
        own, others = _keys(data), set(_keys(theirs))
        places = [at for at, key in enumerate(own) if key in others]
        await channel.send(b"done")
        if await channel.receive() != b"done":
            raise SecureFlowError("peer_broken", f"{channel.peer} went")
        outputs: dict[str, Path] = {}
        if job.party in job.receivers:
            outputs["matches"] = job.outputs / "matches.npy"
            np.save(outputs["matches"], np.array(places, np.int64))
        return EngineResult({"keys": len(own), "theirs": len(others)}, outputs, 0.1, 0)

    async def _hold(self) -> None:
        hold = self.folder / "hold"
        while hold.exists():
            (self.folder / "held").touch()
            await asyncio.sleep(0.02)


def _keys(data: bytes) -> list[bytes]:
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def run(config: Path) -> int:
    """Run the agent, with this engine and no other."""
    known: Any = registry.MAKES
    spu = known["spu"]
    known.clear()
    known["spu"] = replace(spu, make=lambda runs, python: PlainPsi(config.parent))
    return agent.run(config)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[4])))
