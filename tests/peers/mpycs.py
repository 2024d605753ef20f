"""Whether MPyC runs here: its environment is made once for all tests of a machine, and kept.

`.ci/run` may name an interpreter (SECUREFLOW_MPYC_PYTHON); else `secureflow engine install` makes
the environment below ~/.cache. Where it cannot that is said; with SECUREFLOW_DEMAND_MPYC=1
(`.ci/run`) it is a failure.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from secureflow.adapters.mpcengines.runs import Interpreter
from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.owner.venvs import Source
from secureflow.kit.errors import SecureFlowError

DEMANDED: Final = "SECUREFLOW_DEMAND_MPYC"
PYTHON: Final = "SECUREFLOW_MPYC_PYTHON"


@dataclass(frozen=True)
class Fixed:
    """`Interpreter`: one that is named."""

    python: Path

    def find(self) -> Path:
        return self.python

    def ready(self) -> Path:
        return self.python


def demand_mpyc() -> Interpreter:
    """Return its interpreter; skip, or fail where it is demanded, if there is none."""
    said = os.environ.get(PYTHON)
    if said:
        return Fixed(Path(said))
    reason = _lacking()
    if reason and os.environ.get(DEMANDED):
        pytest.fail(f"MPYC NOT TESTED: {reason}, and {DEMANDED} is set")
    if reason:
        pytest.skip(f"MPYC NOT TESTED: {reason}; {DEMANDED}=1 makes this a failure")
    return OwnEngines(_place()).interpreter("mpyc")


def _place() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "secureflow-engines"


@cache
def _lacking() -> str:
    """Install it if it is not there; return why it cannot be, or ""."""
    place = _place()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place / "mpyc.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one run of the tests, and other runs
        try:
            OwnEngines(place).install("mpyc", None, Source())
        except SecureFlowError as error:
            return str(error)
    return ""
