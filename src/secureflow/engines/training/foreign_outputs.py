"""What code of others says of rows: the form that it must have, and what is computed from it.

| target          | `predict` returns, float32                        | outputs (`scoring`)    |
|-----------------|---------------------------------------------------|------------------------|
| binary          | (rows,): the chance of the positive class         | its log-odds           |
| two classes     | (rows,): the chance of the second                 | logarithms of both     |
| several classes | (rows, classes): the chances, of a row 1 together | their logarithms       |
| a number        | (rows,): the number, scaled as labels are         | the same               |

So code that tells two classes apart need not know how a job names them. A chance of 0 or 1 counts
as `SUREST` away from it: nothing is infinitely sure. A number may lie beyond −1 … 1, as those of
other families do.
"""

from __future__ import annotations

from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel
from secureflow.kit.text import Text

SUREST: Final = 2.0**-25
"""Half of what float32 can tell from 1."""
SUM_OFF: Final = 0.01
"""Most that a row's chances may add up to more or less than 1: some compute in 16 bits."""

NOT_FINITE: Final = Text("a number of what it predicts is not finite")
NO_CHANCE: Final = Text("a chance that it predicts is less than 0 or more than 1")
NO_SUM: Final = Text("the chances that it predicts for a row do not add up to 1")

_Label = Label | ClassesLabel | NumberLabel


def returned_shape(label: _Label | None, rows: int) -> tuple[int, ...]:
    """Return the shape of what `predict` must return."""
    return (rows, len(label.classes)) if _several(label) else (rows,)


def returned_problem(label: _Label | None, returned: NDArray[Any]) -> Text | None:
    """Return why some rows of what `predict` returned count for nothing, or None.

    Args:
        label: the model's.
        returned: float32, of `returned_shape` for so many rows.
    """
    if not np.isfinite(returned).all():
        return NOT_FINITE
    if label is None or isinstance(label, NumberLabel) or not len(returned):
        return None
    if returned.min() < 0 or returned.max() > 1:
        return NO_CHANCE
    if _several(label):
        off = np.abs(returned.sum(axis=1, dtype=np.float64) - 1)
        return NO_SUM if off.max() > SUM_OFF else None
    return None


def outputs_from(label: _Label | None, returned: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a model's outputs from what `predict` returned, float32 (rows, outputs)."""
    if label is None or isinstance(label, NumberLabel):
        return np.asarray(returned.reshape(len(returned), 1), np.float32)
    shares = returned.astype(np.float64)
    if _several(label):
        return np.log(np.maximum(shares, SUREST)).astype(np.float32)
    sure = np.clip(shares, SUREST, 1 - SUREST)
    if isinstance(label, ClassesLabel):
        return np.stack([np.log1p(-sure), np.log(sure)], axis=1).astype(np.float32)
    return (np.log(sure) - np.log1p(-sure)).astype(np.float32).reshape(len(returned), 1)


def _several(label: _Label | None) -> TypeGuard[ClassesLabel]:
    return isinstance(label, ClassesLabel) and len(label.classes) > 2
