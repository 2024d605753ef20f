"""A file of a simulation that cannot be read, or does not fit: said of the file and of the job.

An agent says the same of a dataset and of its declaration, which a simulation has only if it was
given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from secureflow.adapters.datasources.drafts import NEEDS
from secureflow.domain.specs.inputs import ArrayFeature, ImageFeature
from secureflow.domain.specs.training import FeatureSpec, NumberLabel
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_SIZES: Final = "its height, width and channels are {found}, declared are {declared}"
_SHAPES: Final = "its rows have the shape {found}, declared is {wanted}"
_OURS: Final = {
    _SIZES: "its height, width and channels are {found}, in the job's `shape` they are {declared}",
    _SHAPES: "its rows have the shape {found}, the job's `shape` is {wanted}",
}
"""What an agent says of a declaration, and what is said where the job alone declares."""


@contextmanager
def of_file(name: str, features: FeatureSpec, *, declared: bool) -> Iterator[None]:
    """Have errors of reading speak of the file that was given.

    Args:
        name: the file's.
        features: the job's.
        declared: whether an owner's declaration is given.

    Raises:
        SecureFlowError: `invalid_file` in the place of `dataset_unreadable`: what was given is
            wrong, and nothing has failed; any other one with its own code.
    """
    try:
        yield
    except SecureFlowError as error:
        if error.code == "dataset_unreadable":
            hint = NEEDS if "agent" in error.hint or "declared" in error.hint else error.hint
            raise SecureFlowError("invalid_file", error.message, hint, error.details) from error
        if error.code == "dataset_too_large":
            told = Text("{file} has more rows or bytes than a simulation reads.", file=name)
            raise error.retold(told, "Simulate with fewer rows.") from error
        if error.code != "schema_mismatch" or not isinstance(error.message, Text):
            raise
        raise _misfit(error, error.message, name, features, declared=declared) from error


def _misfit(
    error: SecureFlowError, message: Text, name: str, features: FeatureSpec, *, declared: bool
) -> SecureFlowError:
    if declared:
        named = Text.of_table(message.template, {**message.facts, "dataset": name})
        hint = "Correct the file, or its declaration (the one that --dataset names)."
        return error.retold(named, hint)
    where, reason = message.facts.get("where"), message.facts.get("reason")
    if isinstance(reason, Text) and (ours := _OURS.get(reason.template)):
        reason = Text.of_table(ours, reason.facts)
    told = Text("{file} does not fit the job: {where}: {reason}.", file=name, where=where,
                reason=reason)  # fmt: skip
    sized = isinstance(reason, Text) and reason.template in _OURS.values()
    return error.retold(told, _hint(str(error.details.get("column")), features, sized=sized))


def _hint(column: str, features: FeatureSpec, *, sized: bool) -> str:
    """Return what to do about a column; `sized` if the job's `shape` is another one."""
    feature = next((one for one in features.beside if one.column == column), None)
    if isinstance(feature, ImageFeature) and not sized:
        return "Replace that file, or move it out of the folder."
    if isinstance(feature, ImageFeature):
        return Text(
            "Correct `shape` of {column!r} in the job file, or the image. Images of several sizes "
            "are resized where a declaration with `fit: resize` is given: --dataset FILE.",
            column=column,
        )
    if isinstance(feature, ArrayFeature):
        return Text(
            "Correct `shape` and `dtype` of {column!r} in the job file, or the array.",
            column=column,
        )
    if isinstance(features.label, NumberLabel) and column == features.label.column:
        return Text(
            "Correct the cell; of a label of words give their list in the place of `bounds`: "
            "label: {{column: {column}, classes: [A, B]}}.",
            column=column,
        )
    return Text(
        "Correct the cell, or name {column!r} as another kind of feature in the job file.",
        column=column,
    )
