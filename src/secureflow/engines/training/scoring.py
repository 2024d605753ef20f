"""From rows to what a model says of them: the same code at the agents and in the SDK, bit by bit.

| target  | `predicted`                            | `chances`                        |
|---------|----------------------------------------|----------------------------------|
| binary  | int64: 1 where the positive is likelier | P(not positive), P(positive)    |
| classes | the likeliest class, as the spec lists it | a column for each class, in order |
| number  | float64, in the label's unit           | –                                |
| none    | int64: the nearest cluster, from 0     | –                                |
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel, outputs_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import Columns, EncodedRows, Moments, prepared_rows, unscaled
from secureflow.engines.training.families import ModelFamily
from secureflow.engines.training.logistic import probabilities
from secureflow.engines.training.models import row_cells, token_numbers
from secureflow.engines.training.network import softmax

AnyLabel = Label | ClassesLabel | NumberLabel


def model_rows(spec: TrainingSpec, moments: Moments, columns: Columns) -> EncodedRows:
    """Return rows as a model sees them; a cell that does not fit is an error that names its row.

    Args:
        spec: features and model.
        moments: of the features' numbers.
        columns: the rows, as a recipe made them if there is one.

    Raises:
        SecureFlowError: as `prepared_rows`.
    """
    if spec.features is None:
        raise AssertionError(spec.model)  # such a model cannot predict
    made = prepared_rows(spec.features, moments, columns, numbers=token_numbers(spec))
    return replace(made, cells=row_cells(spec))


def model_outputs(
    family: ModelFamily,
    parameters: NDArray[np.float32],
    rows: EncodedRows,
    label: AnyLabel | None,
) -> NDArray[np.float32]:
    """Return what a model computes before any link, float32 (rows, outputs), block by block."""
    found = [family.outputs(parameters, rows[some]) for some in rows.blocks()]
    return np.concatenate(found) if found else np.zeros((0, outputs_of(label)), np.float32)


def predicted(label: AnyLabel | None, outputs: NDArray[np.float32]) -> NDArray[Any]:
    """Return the prediction of each row, (rows,): see the table above."""
    if isinstance(label, NumberLabel):
        return unscaled(label, outputs[:, 0])
    if isinstance(label, ClassesLabel):
        names: NDArray[Any] = np.array(label.classes, dtype=object)
        return np.asarray(names[outputs.argmax(axis=1)])
    if label is None:
        return np.asarray(outputs.argmax(axis=1), np.int64)
    return (outputs[:, 0] > 0).astype(np.int64)


def chances(label: Label | ClassesLabel, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of each class, float32 (rows, classes)."""
    if isinstance(label, ClassesLabel):
        return np.asarray(softmax(outputs), np.float32)
    positive = probabilities(outputs[:, 0])
    return np.stack([1 - positive, positive], axis=1)
