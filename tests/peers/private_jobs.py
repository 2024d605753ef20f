"""A small differentially private job: its spec, its rows, and honest parties' updates of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.crypto import SigningKey

PARTIES = ("bank-a", "bank-b", "bank-c", "bank-d")
PRIVACY = {"delta": 1e-6, "noise_multiplier": 2.0, "rows": 400, "clipping_norm": 1.0}
FEATURES = {
    "label": {"column": "income", "positive": "high"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
    "categorical": [{"column": "job", "categories": ["x", "y"]}],
}


def private_value(privacy: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the JSON of a record-level job; `privacy` changes that part."""
    keys = {p: SigningKey.from_seed(p.ljust(32).encode()).public for p in PARTIES}
    value = {
        "project": "prj_0123456789abcdefghjk",
        "name": "private",
        "purpose": "testing",
        "submitter": "tester",
        "roster": [{"party": p, "key": k, "dataset": "customers"} for p, k in keys.items()],
        "features": FEATURES,
        "plan": {"rounds": 3, "validation": 0.0, "learning_rate": 1.0},
        "privacy": {**PRIVACY, **(privacy or {})},
    }
    return value | changes


def private_spec(privacy: dict[str, Any] | None = None, **changes: Any) -> TrainingSpec:
    """Return the spec of a record-level job, not checked."""
    return parse(TrainingSpec, private_value(privacy, **changes))


def rows(party: int, count: int = 100) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a party's inputs (count, 3) and labels, the same at each call."""
    random = np.random.default_rng(party)
    inputs = random.uniform(-1, 1, (count, 3)).astype(np.float32)
    return inputs, (inputs[:, 0] + random.normal(0, 0.3, count) > 0).astype(np.float32)
