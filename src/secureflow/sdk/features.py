"""Feature specifications derived from dataset descriptions, or from a recipe."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.families import FamilyModel
from secureflow.domain.specs.inputs import Arrays, Images
from secureflow.domain.specs.recipe import Recipe, number_columns
from secureflow.domain.specs.targets import Target
from secureflow.domain.specs.training import (
    ArrayFeature,
    CategoricalFeature,
    ClassesLabel,
    FeatureSpec,
    ImageFeature,
    Label,
    LinearModel,
    NumberLabel,
    NumericFeature,
    SampleWeight,
    SoftmaxModel,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Text


def common_features(
    datasets: Sequence[Dataset],
    label: str | None,
    positive: str | None = None,
    leave_out: Collection[str] = (),
    *,
    sensitive: bool = False,
    bounded: bool = False,
    weight: str | None = None,
) -> FeatureSpec:
    """Use every column that all datasets declare alike: numbers standardised, categories one-hot,
    images, and arrays with bounds. (Texts need a vocabulary: name them in a `FeatureSpec`.)

    Args:
        datasets: one description per contributor.
        label: the target column: of two classes if `positive` is given; otherwise of all declared
            categories, or a number within the declared bounds; None for a model without one.
        positive: the value that counts as class 1.
        leave_out: columns not to use.
        sensitive: also use columns that any owner declares sensitive.
        bounded: scale numbers to their declared bounds; needed for differential privacy (the sums
            for standardising are released without noise), by `ridge`, naive Bayes and k-means.
        weight: the number column that says how much each row counts.

    Raises:
        SecureFlowError: `unknown_column` if the label, or the weight, is not declared alike
            everywhere, `unknown_category` if it never is `positive`, `invalid_request` without
            features, or for a label that is neither a category nor a number with bounds.
    """
    shared = _declared_alike(datasets)
    target = None if label is None else _declared(shared, label)
    counted = None if weight is None else _declared(shared, weight)
    others = {*leave_out, *(one for one in (label, weight) if one is not None)}
    kept_out = others if sensitive else {*others, *_sensitive(datasets)}
    columns = [column for name, column in shared.items() if name not in kept_out]
    numeric = tuple(
        NumericFeature(c.name, c.bounds, "bounds" if bounded else "federated")
        for c in columns
        if c.type == "number" and c.bounds
    )
    categorical = tuple(
        CategoricalFeature(c.name, c.categories) for c in columns if c.type == "category"
    )
    images, arrays = _beside(columns)
    if not (numeric or categorical or images or arrays):
        raise SecureFlowError(
            "invalid_request",
            "The datasets share no column that a model can use.",
            "A feature is a number or an array with bounds, a category or an image, declared in "
            "the same way by every owner.",
        )
    counts = None
    if counted is not None:
        counts = SampleWeight(counted.name, counted.bounds or (0.0, 1.0))
    found = None if target is None else _target(target, positive)
    return FeatureSpec(found, numeric, categorical, counts, images or None, arrays or None)


def recipe_features(
    recipe: Recipe, label: Target | None, weight: SampleWeight | None = None
) -> FeatureSpec:
    """Use what a preparation fitted: every column that its recipe makes, as it is.

    Args:
        recipe: of a preparation (`client.jobs.recipe`); all that it makes must be numbers.
        label: what is learnt.
        weight: the number column that says how much each row counts.

    Raises:
        SecureFlowError: `invalid_recipe` if it makes categories or texts.
    """
    if not recipe.numeric:
        raise SecureFlowError(
            "invalid_recipe",
            "The recipe is not valid: it makes columns that are no numbers.",
            "Fit it with a last step that encodes them: `one_hot`, `ordinal` or `woe`.",
        )
    made = number_columns(recipe)
    numeric = tuple(NumericFeature(name, bounds, "none") for name, bounds in made)
    return FeatureSpec(label, numeric, weight=weight, recipe=recipe)


def usual_model(features: FeatureSpec) -> FamilyModel | None:
    """Return the linear model of the features' target; None if it is a spec's default."""
    if isinstance(features.label, ClassesLabel):
        return SoftmaxModel("softmax")
    return LinearModel("linear") if isinstance(features.label, NumberLabel) else None


def _beside(columns: Sequence[ColumnConfig]) -> tuple[Images, Arrays]:
    """Return the images, and the arrays with bounds."""
    images = tuple(ImageFeature(c.name, c.shape) for c in columns if c.type == "image" and c.shape)
    arrays = tuple(
        ArrayFeature(c.name, c.shape, c.bounds, c.dtype or "float32")
        for c in columns
        if c.type == "array" and c.shape and c.bounds
    )
    return images, arrays


def _declared(shared: dict[str, ColumnConfig], name: str) -> ColumnConfig:
    if name in shared:
        return shared[name]
    near = alike(name, shared)
    raise SecureFlowError(
        "unknown_column",
        Text("Not every dataset declares the label {label!r} in the same way.", label=name),
        Text("{near} may be meant.", near=some(near))
        if near
        else "Compare the declarations: secureflow data show DATASET.",
    )


def _target(column: ColumnConfig, positive: str | None) -> Label | ClassesLabel | NumberLabel:
    """Return what a declared column lets a model learn."""
    if positive is not None:
        if column.categories and positive not in column.categories:
            raise SecureFlowError(
                "unknown_category",
                Text(
                    "The label {label!r} never has the value {positive!r}.",
                    label=column.name,
                    positive=positive,
                ),
                Text("It holds: {categories}.", categories=", ".join(column.categories[:10])),
            )
        return Label(column.name, positive)
    if len(column.categories) > 1:
        return ClassesLabel(column.name, column.categories)
    if column.bounds is not None:
        return NumberLabel(column.name, column.bounds)
    raise SecureFlowError(
        "invalid_request",
        Text("The label {label!r} has neither categories nor bounds.", label=column.name),
        "Say which value is the positive one, or have the owners declare them.",
    )


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
