"""Small tables of images, arrays and texts that can be learned from."""

from __future__ import annotations

from typing import Any

import numpy as np

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check

SIDE = 6
FEATURES: dict[str, dict[str, Any]] = {
    "images": {"images": [{"column": "scan", "shape": [SIDE, SIDE, 1]}]},
    "arrays": {"arrays": [{"column": "signal", "shape": [5, 3], "bounds": [-2, 2]}]},
    "texts": {"texts": [{"column": "note", "length": 8, "tokens": "words", "vocabulary": 64}]},
}
WORDS = (("ill", "pain", "fever"), ("well", "fine", "walks"), ("left", "moved", "gone"))
CLASSES = ["a", "b", "c"]


def table(rows: int = 240, seed: int = 5) -> dict[str, np.ndarray]:
    """Rows of three classes: where an image is bright, how a signal runs, which words are used."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    scan = rng.integers(0, 90, (rows, SIDE, SIDE, 1))
    signal = rng.normal(0, 0.4, (rows, 5, 3))
    note = np.empty(rows, object)
    for at, one in enumerate(kind.tolist()):
        scan[at, 2 * one : 2 * one + 2] += 120
        signal[at, :, one] += np.linspace(0.2, 1.4, 5)
        note[at] = " ".join(rng.choice(WORDS[one], 4)) + " patient"
    return {
        "scan": scan.astype(np.uint8),
        "signal": signal.astype(np.float32),
        "note": note,
        "y": np.array(["no", "yes", "no"], object)[kind],
        "kind": np.array(CLASSES, object)[kind],
        "price": (kind - 1.0) * 10,
    }


LABELS: dict[str, dict[str, Any]] = {
    "binary": {"column": "y", "positive": "yes"},
    "classes": {"column": "kind", "classes": CLASSES},
    "number": {"column": "price", "bounds": [-20.0, 20.0]},
}


def spec(seen: str, model: dict[str, Any], target: str = "classes", **more: Any) -> TrainingSpec:
    """A checked spec of three banks; `plan` is added to."""
    plan = {"rounds": 4, "batch_size": 16, "learning_rate": 0.3, "validation": 0.2}
    roster = [{"party": f"bank-{n}", "key": f"{n}" * 44, "dataset": "rows"} for n in range(3)]
    value = {
        "project": "prj_0123456789",
        "name": "job",
        "purpose": "test",
        "submitter": "usr",
        "roster": roster,
        "features": {"label": LABELS[target], **FEATURES[seen]},
        "model": model,
        "plan": {**plan, **more.pop("plan", {})},
        **more,
    }
    found = parse(TrainingSpec, value)
    check(found)
    return found


def shares(rows: int = 240) -> list[dict[str, np.ndarray]]:
    """Three unequal shares."""
    whole = table(rows)
    parts = np.split(np.arange(rows), [rows // 6, rows // 2])
    return [{name: cells[part] for name, cells in whole.items()} for part in parts]
