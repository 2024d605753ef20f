"""The parts of a report that only some jobs have: the code, what of the plan is not the plain mean,
which classes were taken for which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.strategies import PLAIN, name_of
from secureflow.domain.specs.targets import ClassesLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.codesection import code_section
from secureflow.engines.training.measures import ClassesMeasure
from secureflow.kit.canonical import JSON

TITLE: Final = "Validation rows of each class, and as what they were predicted"
CODE: Final = "The code that trained it"
PLAN: Final = "How it was trained"
_MOST: Final = 8
"""Most predicted classes that are told of one."""


def sections(spec: TrainingSpec, sums: Sequence[float]) -> list[dict[str, JSON]]:
    """Return the sections of a job's report: its code, its plan, the confusion matrix.

    Args:
        spec: the signed spec.
        sums: the released sums of the model: weight, then metrics. If they are noised, so are the
            counts, which are rounded to whole numbers.
    """
    return [*_code(spec.bundle), *_plan(spec), *_confusion(spec, sums)]


def _code(bundle: BundleRef | None) -> list[dict[str, JSON]]:
    if bundle is None:
        return []
    return [code_section(CODE, dump(bundle))]


def _plan(spec: TrainingSpec) -> list[dict[str, JSON]]:
    """Return what readers who compare jobs look for: what takes the place of the plain mean."""
    plan, rows = spec.plan, list[dict[str, JSON]]()
    if name_of(plan.strategy) != PLAIN:
        rows.append({"label": "strategy", "value": _named(plan.strategy)})
    if plan.aggregation is not None:
        rows.append({"label": "robust rule", "value": _named(plan.aggregation)})
    if spec.compression is not None:
        rows.append({"label": "compression of updates", "value": _named(spec.compression)})
    if plan.parties_per_round is not None:
        rows.append({"label": "parties in each round", "value": plan.parties_per_round})
    return [{"title": PLAN, "rows": rows}] if rows else []


def _named(chosen: Any) -> list[JSON]:
    """Return a choice's name, and its parameters as a job file has them."""
    name, *parameters = dump(chosen).items()
    return [str(name[1]), *(f"{key}: {value}" for key, value in parameters)]


def _confusion(spec: TrainingSpec, sums: Sequence[float]) -> list[dict[str, JSON]]:
    label = spec.features.label if spec.features else None
    if not isinstance(label, ClassesLabel) or len(sums) == 1:
        return []
    matrix = ClassesMeasure(len(label.classes)).matrix(np.asarray(sums[1:], np.float64))
    if matrix is None:
        return []
    rows: list[dict[str, JSON]] = []
    for name, counts in zip(label.classes, np.rint(matrix).astype(int).tolist(), strict=True):
        found = sorted(zip(counts, label.classes, strict=True), key=lambda one: -one[0])
        told = [f"{predicted}: {count}" for count, predicted in found[:_MOST] if count]
        rows.append({"label": name, "value": told})
    return [{"title": TITLE, "rows": rows}]
