"""What a party keeps for itself between its rounds: for a strategy, and what was left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.strategies import FedBn, kept_by_party
from secureflow.domain.specs.tensors import total
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError

LEFT: Final = "left"
"""The array of a trainer's state that holds what compression left out; its own have other names."""
OWN: Final = "own"
"""The array of a trainer's state that holds what the strategy keeps of the party."""
_FLOAT32: Final = np.dtype("<f4")
_NOTHING: Final = np.zeros(0, np.float32)


def kept_by(
    spec: TrainingSpec, path: Path | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a party keeps for itself: for its strategy, float32 (model,), and what the
    compression left out of its last update, float32 (update,). Zeros before its first round, and
    nothing where nothing is wanted.

    Raises:
        SecureFlowError: `state_unreadable`.
    """
    own = own_values(spec)
    size = own + left_out(spec)
    if path is None:
        return first_own(spec), np.zeros(size - own, np.float32)
    found = np.fromfile(path, _FLOAT32) if size else _NOTHING
    return part_kept(found, size)[:own], found[own:]


def own_values(spec: TrainingSpec) -> int:
    """Return how many values a party keeps for its strategy, once it has trained."""
    if not kept_by_party(spec.plan.strategy):
        return 0
    return total(spec.staying) if isinstance(spec.plan.strategy, FedBn) else spec.model_parameters


def first_own(spec: TrainingSpec) -> NDArray[np.float32]:
    """Return what a party has of it before its first round: no slope, and no layers of its own."""
    return np.zeros(0 if isinstance(spec.plan.strategy, FedBn) else own_values(spec), np.float32)


def left_out(spec: TrainingSpec) -> int:
    """Return how many values a party keeps of what compression leaves out."""
    return 0 if spec.compression is None else spec.update_parameters


def taken_left(
    spec: TrainingSpec, values: dict[str, NDArray[Any]], *, first: bool
) -> NDArray[np.float32]:
    """Take what compression left out of an update from the arrays of a trainer's state.

    Args:
        spec: the job's.
        values: by name; what is taken is no longer there.
        first: whether this is the party's first round, before which nothing was left out.

    Raises:
        SecureFlowError: `state_unreadable`.
    """
    size = left_out(spec)
    nothing = np.zeros(size if first else 0, np.float32)
    return part_kept(np.asarray(values.pop(LEFT, nothing), np.float32), size)


def taken_own(
    spec: TrainingSpec, values: dict[str, NDArray[Any]], *, first: bool
) -> NDArray[np.float32]:
    """Take what the strategy keeps of the party from there; as `taken_left`."""
    if first:
        return first_own(spec)
    return part_kept(np.asarray(values.pop(OWN, _NOTHING), np.float32), own_values(spec))


def part_kept(found: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return what was kept, if it is of this size and finite.

    Raises:
        SecureFlowError: `state_unreadable`.
    """
    if found.shape == (size,) and np.isfinite(found).all():
        return found
    raise SecureFlowError(
        "state_unreadable",
        "What this party keeps for itself between rounds is not as it was written.",
        "Leave this job: from another state the trainer would make another update.",
    )
