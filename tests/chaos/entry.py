"""`python -m tests.chaos.entry agent|enclave start --config FILE`: the real process, for a test.

Agents draw the secrets of jobs from a fixed seed, so that two runs of one spec make one model. An
enclave runs in this process, with the variables that set its clock: its own command drops them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

from secureflow.agent.edge.main import run
from secureflow.agent.verbs import approvals
from secureflow.enclave import main as enclave


def main(arguments: list[str]) -> int:
    """Run what `secureflow agent|enclave start --config FILE` runs."""
    config = Path(arguments[3])
    if arguments[0] == "enclave":
        return enclave.run(config)

    def known(length: int) -> bytes:
        return hashlib.sha256(f"secret of {config.parent.name}".encode()).digest()[:length]

    approvals.secrets = SimpleNamespace(token_bytes=known)  # type: ignore[assignment]
    return run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
