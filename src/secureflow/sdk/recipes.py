"""Feature specifications derived from dataset descriptions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.training import CategoricalFeature, FeatureSpec, Label, NumericFeature
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def common_features(
    datasets: Sequence[Dataset],
    label: str,
    positive: str,
    leave_out: Collection[str] = (),
    *,
    sensitive: bool = False,
    bounded: bool = False,
) -> FeatureSpec:
    """Use every column that all datasets declare alike: numbers standardised, categories one-hot.

    Args:
        datasets: one description per contributor.
        label: the target column; rows whose value equals `positive` are class 1.
        positive: the value that counts as class 1.
        leave_out: columns not to use.
        sensitive: also use columns that any owner declares sensitive.
        bounded: scale numbers to their declared bounds; needed for differential privacy: the sums
            for standardising are released without noise.

    Raises:
        SecureFlowError: `unknown_column` if the label is not declared alike everywhere,
            `unknown_category` if it never is `positive`, `invalid_request` without features.
    """
    shared = _declared_alike(datasets)
    target = shared.get(label)
    if target is None:
        raise SecureFlowError(
            "unknown_column",
            Text("Not every dataset declares the label {label!r} in the same way.", label=label),
            "Compare the declarations: secureflow data show DATASET.",
        )
    if target.categories and positive not in target.categories:
        raise SecureFlowError(
            "unknown_category",
            Text(
                "The label {label!r} never has the value {positive!r}.",
                label=label,
                positive=positive,
            ),
            Text("It holds: {categories}.", categories=", ".join(target.categories[:10])),
        )
    kept_out = {label, *leave_out} if sensitive else {label, *leave_out, *_sensitive(datasets)}
    columns = [column for name, column in shared.items() if name not in kept_out]
    numeric = tuple(
        NumericFeature(c.name, c.bounds, "bounds" if bounded else "federated")
        for c in columns
        if c.type == "number" and c.bounds
    )
    categorical = tuple(
        CategoricalFeature(c.name, c.categories) for c in columns if c.type == "category"
    )
    if not numeric and not categorical:
        raise SecureFlowError(
            "invalid_request",
            "The datasets share no column that a model can use.",
            "A feature is a number with bounds or a category, declared in the same way by every "
            "owner.",
        )
    return FeatureSpec(Label(label, positive), numeric, categorical)


def _declared_alike(datasets: Sequence[Dataset]) -> dict[str, ColumnConfig]:
    first, *others = [{c.name: c for c in one.columns} for one in datasets] or [{}]
    return {
        name: column
        for name, column in first.items()
        if all(_shape(other.get(name)) == _shape(column) for other in others)
    }


def _sensitive(datasets: Sequence[Dataset]) -> set[str]:
    return {column.name for one in datasets for column in one.columns if column.sensitive}


def _shape(column: ColumnConfig | None) -> object:
    return column and (column.type, column.categories, column.bounds, column.shape, column.dtype)
