"""What figures of models are called in words; programs and options keep their short names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

METRIC_NAMES: Final = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "baseline_rows": "rows of the baseline",
    "bias": "mean error",
    "brier": "Brier score",
    "by_chance": "reached by chance",
    "calibration_error": "calibration error",
    "f1": "F1",
    "gini": "Gini coefficient",
    "ks": "KS",
    "ks_threshold": "threshold at KS",
    "macro_f1": "macro F1",
    "mae": "mean absolute error",
    "predicted_rate": "mean predicted probability",
    "r2": "R²",
    "rmse": "root mean squared error",
    "target_deviation": "deviation of the target",
    "target_mean": "mean of the target",
    "weighted_f1": "weighted F1",
}
"""Short name → words; a figure that is not here is called by its name."""
COUNTED: Final = frozenset({"rows", "positives", "undefined"})
"""Figures that tables of models show as whole numbers."""
TELLING: Final = ("auc", "r2", "f1", "weighted_f1", "macro_f1", "accuracy", "rmse", "mae", "loss")
"""Figures that tell most of a model, the most telling first."""
HIGHER: Final = frozenset(
    ("accuracy", "auc", "balanced_accuracy", "f1", "gini", "ks", "macro_f1", "r2", "weighted_f1")
)
"""Figures of which more is better. Precision and recall are traded for one another: neither."""
LOWER: Final = frozenset(("brier", "calibration_error", "loss", "mae", "rmse"))
"""Figures of which less is better."""


def in_words(name: str) -> str:
    """Return what a figure is called."""
    return METRIC_NAMES.get(name, name)


def most_telling(names: Iterable[str]) -> str:
    """Return the figure of these that tells most of a model; empty if none of them is one."""
    known = set(names)
    return next((one for one in TELLING if one in known), "")
