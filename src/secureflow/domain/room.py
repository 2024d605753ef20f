"""Disk space that a job takes, from its spec alone: upper bounds, checked before it begins."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import traits_of

_FLOAT32: Final = 4
_BESIDE: Final = 1 << 16
"""Sums, tags and headers that come with a model or a vector."""
_STEP: Final = 1 << 14
"""What one step of a job leaves in a record, plus the same for each party of the roster."""


def model_bytes(spec: JobSpec) -> int:
    """Return the bytes of the job's model; a statistics job has none."""
    return _FLOAT32 * spec.parameters


def agent_bytes(spec: JobSpec, party: str = "") -> int:
    """Return the most that a party's files of the job take at one time.

    The model, the next one as received (sealed, or as a mean) and as written, the update as its
    worker wrote it, and this party's own copy of it; and what the kind of job has of the party
    beside that, if one is named.
    """
    files = spec.file_bytes(party) if party else 0
    return 5 * (model_bytes(spec) + _BESIDE) + files


def record_bytes(spec: JobSpec) -> int:
    """Return what the job leaves in a party's record."""
    return _STEP * (len(spec.roster) + 4 * (spec.planned_rounds + 2))


def centre_bytes(spec: JobSpec, vector: int) -> int:
    """Return what the job stores at the centre: the models of its rounds, and masked vectors.

    A round's vectors are spent, and go, when the next one's are added up.

    Args:
        spec: the job's.
        vector: bytes of the longest masked vector that a party sends to the centre; 0 for none.
    """
    stored = 2 if traits_of(spec).masks else 1  # under masks the mean too: agents compute from it
    vectors = 2 * len(spec.roster) * (vector + _BESIDE) if vector else 0
    return stored * spec.planned_rounds * model_bytes(spec) + vectors
