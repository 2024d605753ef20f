"""Environments of engines for the tests of a machine: made once, and kept below ~/.cache.

python -m tests.engines spu openmined    # as `secureflow engine install` does; `.ci/run` does it
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.owner.venvs import Source


def place() -> Path:
    """Return the folder that they lie in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "secureflow-engines"


def install(name: str) -> bool:
    """Make an engine's environment; return False where it is there already.

    Raises:
        SecureFlowError: as `OwnEngines.install`.
    """
    place().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other runs of the tests on this machine
        return OwnEngines(place()).install(name, None, Source()) is not None


def main() -> None:
    """Install what is named, and say how long it took."""
    for name in sys.argv[1:]:
        began = time.monotonic()
        made = "made" if install(name) else "there, every file as it was installed"
        sys.stdout.write(f"engine {name}: {made}, {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
