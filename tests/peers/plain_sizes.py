"""An engine that protects nothing, in place of openmined-psi: the receiver learns how many match.

`python -m tests.peers.plain_sizes agent start --config FILE` runs an agent that has it, beside the
one of `plain_psi`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from secureflow.adapters.mpcengines import registry
from secureflow.agent.edge import main as agent
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Progress,
)
from secureflow.domain.specs.psi import VERSIONS
from tests.peers.plain_psi import LABEL, PlainPsi

NAME: Final = "openmined"
PROTOCOL: Final = "ECDH-SIZE"


@dataclass(frozen=True)
class PlainSizes(PlainPsi):
    """`MpcEngine`: of the places that match it tells the number."""

    def describe(self) -> EngineInfo:
        program = EngineProgram("", "cd" * 32, (PROTOCOL,), (2, 2))
        return EngineInfo(NAME, VERSIONS[NAME], {PROTOCOL: LABEL}, {"psi": program}, (2, 2))

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        found = await super().run(job, progress)
        if "matches" not in found.outputs:
            return found
        path = job.outputs / "size.json"
        path.write_text(json.dumps({"size": len(np.load(found.outputs["matches"]))}))
        return replace(found, outputs={"size": path})


def run(config: Path) -> int:
    """Run the agent, with these engines and no other."""
    known: Any = registry.MAKES
    made = {"spu": PlainPsi, NAME: PlainSizes}
    own = {
        name: replace(known[name], make=lambda runs, python, of=of: of(config.parent))
        for name, of in made.items()
    }
    known.clear()
    known.update(own)
    return agent.run(config)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[4])))
