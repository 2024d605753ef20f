"""`python -m tests.chaos.entry agent start --config FILE`: the real agent, with known secrets.

Agents draw the secrets of jobs from a fixed seed, so that two runs of one spec make one model.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

from secureflow.agent.edge.main import run
from secureflow.agent.verbs import approvals


def main(arguments: list[str]) -> int:
    """Run what `secureflow agent start --config FILE` runs."""
    config = Path(arguments[3])

    def known(length: int) -> bytes:
        return hashlib.sha256(f"secret of {config.parent.name}".encode()).digest()[:length]

    approvals.secrets = SimpleNamespace(token_bytes=known)  # type: ignore[assignment]
    return run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
