"""The parts of a report that only some jobs have: the code, which classes were taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.targets import ClassesLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.codesection import code_section
from secureflow.engines.training.measures import ClassesMeasure
from secureflow.kit.canonical import JSON

TITLE: Final = "Validation rows of each class, and as what they were predicted"
CODE: Final = "The code that trained it"
_MOST: Final = 8
"""Most predicted classes that are told of one."""


def sections(spec: TrainingSpec, sums: Sequence[float]) -> list[dict[str, JSON]]:
    """Return the sections of a job's report: its code, the confusion matrix of few classes.

    Args:
        spec: the signed spec.
        sums: the released sums of the model: weight, then metrics. If they are noised, so are the
            counts, which are rounded to whole numbers.
    """
    return [*_code(spec.bundle), *_confusion(spec, sums)]


def _code(bundle: BundleRef | None) -> list[dict[str, JSON]]:
    if bundle is None:
        return []
    return [code_section(CODE, dump(bundle))]


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
