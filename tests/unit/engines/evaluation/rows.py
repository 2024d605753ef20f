"""Rows of three parties, their sums as masked sums add them up, and all rows together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.evaluation.layout import AnyForm, BinaryForm, ClassesForm, NumberForm
from secureflow.engines.evaluation.tally import tally

PARTIES = 3
BINARY = BinaryForm(private=False)
CLASSES = ClassesForm(private=False, classes=("low", "middle", "high", "rare"))
NUMBER = NumberForm(private=False, middle=50.0, half=50.0)
PRIVATE = (
    BinaryForm(private=True),
    ClassesForm(private=True, classes=("low", "middle", "high", "rare")),
    NumberForm(private=True, middle=50.0, half=50.0),
)


@dataclass(frozen=True)
class Rows:
    outputs: NDArray[np.float32]
    labels: NDArray[np.float32]

    def totals(self, form: AnyForm, unit: int = 1 << 24) -> NDArray[np.int64]:
        """Split the rows over parties of unequal size, and add their sums up."""
        cuts = [len(self.labels) // 7, len(self.labels) // 2]
        parts = zip(np.split(self.outputs, cuts), np.split(self.labels, cuts), strict=True)
        return sum((tally(form, *part, unit) for part in parts), np.zeros(form.length, np.int64))


def binary_rows(count: int = 4000, seed: int = 1, rate: float = 0.2, shift: float = 1.4) -> Rows:
    random = np.random.default_rng(seed)
    labels = random.random(count) < rate
    odds = random.normal(np.where(labels, shift, 0.0) + np.log(rate / (1 - rate)) - 0.4, 1.2)
    return Rows(odds[:, None].astype(np.float32), labels.astype(np.float32))


def classes_rows(count: int = 3000, seed: int = 2) -> Rows:
    random = np.random.default_rng(seed)
    labels = random.choice(4, count, p=[0.5, 0.3, 0.17, 0.03])
    scores = random.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels] + [0.8, 0.4, 0.0, -1.0]
    return Rows(scores.astype(np.float32), labels.astype(np.float32))


def number_rows(count: int = 3000, seed: int = 3) -> Rows:
    random = np.random.default_rng(seed)
    labels = np.clip(random.normal(-0.2, 0.35, count), -1, 1)
    found = 0.8 * labels + random.standard_t(6, count) * 0.1 + 0.02
    return Rows(found[:, None].astype(np.float32), labels.astype(np.float32))


def rows_of(form: AnyForm, **more: Any) -> Rows:
    made = {"binary": binary_rows, "classes": classes_rows, "number": number_rows}
    return made[form.name](**more)
