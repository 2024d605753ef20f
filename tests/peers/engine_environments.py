"""Whether an engine's environment is there: packages of its own, under an interpreter of its own.

`python -m tests.engines` makes them (`.ci/run` does); or a variable names an interpreter. Where one
is missing that is said; with SECUREFLOW_DEMAND_SPU=1 (`.ci/run`) it is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from secureflow.agent.owner.engines import FOLDER, OwnEngines
from secureflow.kit.errors import SecureFlowError
from tests.engines import place

DEMANDED: Final = "SECUREFLOW_DEMAND_SPU"
"""For both engines of private set intersection: SPU and openmined-psi."""


def python_of(engine: str) -> Path | None:
    """Return the interpreter of an engine's environment."""
    if said := os.environ.get(f"SECUREFLOW_{engine.upper()}_PYTHON"):
        return Path(said)
    try:
        return OwnEngines(place()).interpreter(engine).find()
    except SecureFlowError:
        return None


def demand_engine(engine: str) -> Path:
    """Return the interpreter; skip, or fail where it is demanded, without one."""
    found = python_of(engine)
    if found is not None:
        return found
    told = f"{engine.upper()} NOT TESTED: python -m tests.engines {engine}"
    if os.environ.get(DEMANDED):
        pytest.fail(f"{told}; {DEMANDED} is set")
    pytest.skip(f"{told}; {DEMANDED}=1 makes this a failure")


def lend(engine: str, directory: Path) -> None:
    """Have an agent's folder show an engine that is installed for the tests of this machine."""
    demand_engine(engine)
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for found in (place() / FOLDER).glob(f"{engine}-*"):
        (folder / found.name).symlink_to(found)
