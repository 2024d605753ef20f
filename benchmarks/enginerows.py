"""Rows of `benchmarks.psi` and `benchmarks.mpc`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.engineparties import Measured
from benchmarks.through import Figures
from secureflow.agent.owner.engines import OwnEngines
from secureflow.demo.psi.engines import place
from secureflow.kit.errors import SecureFlowError


def interpreter(engine: str) -> Path:
    """Return the interpreter of an engine's environment: the one named, or the demo's."""
    name = f"SECUREFLOW_{engine.upper()}_PYTHON"
    if said := os.environ.get(name):
        return Path(said)
    try:
        return OwnEngines(place()).interpreter(engine).find()
    except SecureFlowError as error:
        raise SystemExit(f"{name} names no interpreter: {error}") from error


def row(
    name: str, bare: float, seconds: float | None, measured: Measured | Figures
) -> dict[str, Any]:
    """Return a row, and show it; `seconds` is None of what ran bare alone."""
    made = {
        "name": name,
        "bare_seconds": round(bare, 3),
        "seconds": None if seconds is None else round(seconds, 3),
        "ratio": None if seconds is None else round(seconds / bare, 3),
        "mb": round(measured.bytes / 1e6, 2),
        "peak_mb": round(measured.peak / 1e6, 1),
    }
    sys.stderr.write(f"{made}\n")
    return made
