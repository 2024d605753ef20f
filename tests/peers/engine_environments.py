"""Whether an engine's environment is there: packages of its own, under an interpreter of its own.

`.ci/run` makes them from the locks in the package. Where one is missing that is said; with
SECUREFLOW_DEMAND_SPU=1 (`.ci/run`) it is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

DEMANDED: Final = "SECUREFLOW_DEMAND_SPU"
_LOCKS: Final = "src/secureflow/adapters/mpcengines/locks"


def python_of(engine: str) -> Path | None:
    """Return the interpreter of an engine's environment."""
    said = os.environ.get(f"SECUREFLOW_{engine.upper()}_PYTHON")
    return Path(said) if said and Path(said).exists() else None


def demand_engine(engine: str) -> Path:
    """Return the interpreter; skip, or fail where it is demanded, without one."""
    found = python_of(engine)
    if found is not None:
        return found
    name = f"SECUREFLOW_{engine.upper()}_PYTHON"
    told = f"{engine.upper()} NOT TESTED: {name} names no interpreter with {_LOCKS}/{engine}.txt"
    if os.environ.get(DEMANDED):
        pytest.fail(f"{told}, and {DEMANDED} is set")
    pytest.skip(f"{told}; {DEMANDED}=1 makes this a failure")
