"""What the form of a grant offers."""

from __future__ import annotations

from typing import Final, get_args

from secureflow.domain.specs.protections import ProtectionName

PROTECTIONS: Final[tuple[str, ...]] = get_args(ProtectionName)
KINDS: Final = (
    *("training", "statistics", "evaluation", "prediction", "preparation", "psi", "mpc", "sweep"),
    *("timetable", "pipeline"),
)
"""The kinds of job that are offered; a test compares them with `SPEC_KINDS`."""
DAYS: Final = 90
"""That a grant lasts unless somebody chooses otherwise."""
