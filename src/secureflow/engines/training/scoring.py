"""From rows to what a model says of them: the same code at the agents and in the SDK, bit by bit.

In arrays, as scikit-learn has them:

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

from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.targets import (
    PREDICTED,
    ClassesLabel,
    Label,
    NumberLabel,
    chance_titles,
    outputs_of,
)
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import (
    Columns,
    EncodedRows,
    Moments,
    declared_moments,
    moments_from_sums,
    prepared_rows,
    unscaled,
)
from secureflow.engines.training.families import ModelFamily
from secureflow.engines.training.logistic import probabilities
from secureflow.engines.training.models import row_cells, token_numbers
from secureflow.engines.training.network import softmax
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

AnyLabel = Label | ClassesLabel | NumberLabel


def scored_moments(scored: ScoredModel) -> Moments:
    """Return the moments by which a released model's numbers are scaled."""
    if scored.moments is None:
        return declared_moments(scored.features)
    return moments_from_sums(scored.features, np.array(scored.moments, np.float64))


def scored_parameters(scored: ScoredModel, raw: bytes) -> NDArray[np.float32]:
    """Return a released model's own parameters, float32 of its length, from its blob.

    Raises:
        SecureFlowError: `model_length_wrong`.
    """
    if len(raw) != scored.bytes:
        raise SecureFlowError(
            "model_length_wrong",
            Text(
                "The model {digest} has {size} bytes; its features need {bytes}.",
                digest=scored.digest,
                size=len(raw),
                bytes=scored.bytes,
            ),
            "Refuse it: the centre must follow the spec that was approved.",
        )
    return np.frombuffer(raw, "<f4")[: scored.trained.model_parameters].astype(np.float32)


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


def told(label: AnyLabel | None, outputs: NDArray[np.float32], *, likely: bool) -> dict[str, Any]:
    """Return the columns that people read beside rows, by name: arrays of shape (rows,).

    Two classes: bool, whether the positive one is likelier; classes: the likeliest one's name; and
    the probabilities (`targets.chance_titles`, float32) if the model has any.

    Args:
        label: the model's.
        outputs: of `model_outputs`.
        likely: whether its outputs have probabilities.
    """
    if not likely or label is None or isinstance(label, NumberLabel):
        found = predicted(label, outputs)
        return {PREDICTED: found.astype(bool) if isinstance(label, Label) else found}
    shares = chances(label, outputs)
    if isinstance(label, ClassesLabel):
        likeliest = np.array(label.classes, dtype=object)[shares.argmax(axis=1)]
        return {PREDICTED: likeliest, **dict(zip(chance_titles(label), shares.T, strict=True))}
    positive = shares[:, 1]
    return {PREDICTED: positive > 0.5, chance_titles(label)[0]: positive}
