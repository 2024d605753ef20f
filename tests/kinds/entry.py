"""`python -m tests.kinds.entry server|enclave|agent start --config FILE`: a platform that counts.

The processes of the platform, with two kinds more in their tables; nothing else is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from secureflow.agent.edge import main as agent
from secureflow.enclave import main as enclave
from secureflow.server import main as server
from tests.kinds.tables import AGENTS, JOBS

RUN: Final[Mapping[str, Callable[[Path], int]]] = {
    "server": lambda config: server.run(config, JOBS),
    "enclave": enclave.run,
    "agent": lambda config: agent.run(config, AGENTS, "tests.kinds.worker"),
}

if __name__ == "__main__":
    sys.exit(RUN[sys.argv[1]](Path(sys.argv[4])))
