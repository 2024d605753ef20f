"""Jobs of every family on small tables, trained in process by the code of agents and enclave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.training import TRAINING_ENCLAVE
from secureflow.enclave.trainingfolds import training_fold, training_manifest
from secureflow.engines.sealing import OpenedUpdate, tensor_views
from secureflow.engines.secagg.encoding import encode
from secureflow.engines.training.encodings import (
    SummedUpdates,
    apply_mean,
    masked_parts,
    masked_plan,
    opened_sums,
    published_dtype,
)
from secureflow.engines.training.models import initial_state

LABELS: dict[str, dict[str, Any]] = {
    "binary": {"column": "y", "positive": "yes"},
    "classes": {"column": "kind", "classes": ["a", "b", "c"]},
    "number": {"column": "price", "bounds": [-20.0, 20.0]},
}
LEARNERS = [
    ("logistic_regression", "binary"),
    ("softmax", "classes"),
    ("linear", "number"),
    ("ridge", "number"),
    ("mlp", "binary"),
    ("mlp", "classes"),
    ("mlp", "number"),
]
"""Every family with every target that it learns."""


def table(rows: int = 300, seed: int = 5) -> dict[str, np.ndarray]:
    """Rows whose targets follow from two numbers and a category."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 2))
    word = rng.choice(np.array(["l", "m", "r"], dtype=object), rows)
    score = 2 * x[:, 0] - x[:, 1] + (word == "r") + 0.2 * rng.normal(size=rows)
    kinds = np.array(["a", "b", "c"], dtype=object)
    return {
        "x0": x[:, 0],
        "x1": x[:, 1],
        "word": word,
        "count": rng.uniform(0.5, 1.5, rows),
        "y": np.where(score > 0, "yes", "no").astype(object),
        "kind": kinds[np.digitize(score, [-0.7, 0.7])],
        "price": np.clip(4.0 + 5.0 * score, -20.0, 20.0),
    }


def spec(family: str, target: str, parties: int = 3, **more: Any) -> TrainingSpec:
    """A checked spec; keyword arguments replace members, `plan` and `model` are added to."""
    one_round = family == "ridge"
    plan = {"rounds": 1 if one_round else 3, "batch_size": 16, "learning_rate": 0.3}
    hidden = {"hidden": [6]} if family == "mlp" else {}
    value = {
        "project": "prj_0123456789",
        "name": "job",
        "purpose": "test",
        "submitter": "usr",
        "roster": [
            {"party": f"bank-{n}", "key": f"{n}" * 44, "dataset": "rows"} for n in range(parties)
        ],
        "features": {
            "label": LABELS[target],
            "numeric": [{"column": n, "bounds": [-1, 1], "scale": "bounds"} for n in ("x0", "x1")],
            "categorical": [{"column": "word", "categories": ["l", "m", "r"]}],
            **more.pop("features", {}),
        },
        "model": {"family": family, **hidden, **more.pop("model", {})},
        "plan": {**plan, "validation": 0.2, **more.pop("plan", {})},
        **more,
    }
    found = parse(TrainingSpec, value)
    check(found)
    return found


def shares(parties: int = 3, rows: int = 300) -> list[dict[str, np.ndarray]]:
    """The rows cut into unequal shares."""
    whole = table(rows)
    cuts = [rows * (n + 1) * (n + 2) // (parties * (parties + 1)) for n in range(parties - 1)]
    parts = np.split(np.arange(rows), cuts)
    return [{name: cells[part] for name, cells in whole.items()} for part in parts]


def pooled(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def federate(
    job: TrainingSpec, parts: Sequence[dict[str, np.ndarray]], folder: Path
) -> tuple[np.ndarray, list[float]]:
    """Train sealed; return the last state and the sums of the final evaluation."""
    runners = [runner_of(job, part) for part in parts]
    model = GlobalModel.of(initial_state(job).copy())
    fold, path, delta = training_fold(job, "train", None), folder / "model", folder / "delta"
    TRAINING_ENCLAVE.starts(fold, model)
    for number in range(1, job.planned_rounds + 1):
        model.parameters.tofile(path)
        for place, runner in enumerate(runners):
            sums = runner.train(path, delta, None, seed(number, place))
            manifest = training_manifest(job, "train", None)
            data = memoryview(delta.read_bytes() + sums.tobytes())
            sender: Any = SimpleNamespace(party=job.parties[place])
            fold.fold(OpenedUpdate(sender, "", tensor_views(manifest, data)))
        fold.advance(model, lambda: b"\x01" * 32)
        fold.reset()
    model.parameters.tofile(path)
    last = training_fold(job, "evaluate", None)
    for place, runner in enumerate(runners):
        sums = runner.evaluate(path, None, seed(99, place))
        nothing = {"parameters": np.zeros(0, np.float32), "sums": sums}
        last.fold(OpenedUpdate(None, "", nothing))  # type: ignore[arg-type]
    return model.parameters, last.sums(lambda: b"\x02" * 32)


def seed(number: int, place: int) -> bytes:
    return bytes([number, place]) * 16


def private(noise: str, multiplier: float = 1.0, **more: Any) -> dict[str, Any]:
    """The members of a spec under record-level differential privacy, with this placement."""
    return {
        "privacy": {
            "delta": 1e-4,
            "noise": noise,
            "noise_multiplier": multiplier,
            "clipping_norm": 2.0,
            "rows": 300,
            "metrics_noise": 0.5,
            **more,
        },
        "protection": "secagg" if noise == "shared" else "sealed",
    }


def federate_masked(
    job: TrainingSpec, parts: Sequence[dict[str, np.ndarray]], folder: Path
) -> tuple[np.ndarray, list[float]]:
    """Train masked (the masks themselves cancel); return the last state and the final sums."""
    runners = [runner_of(job, part) for part in parts]
    state = initial_state(job).copy()
    mean = np.empty(job.update_parameters, published_dtype(job))
    path, delta = folder / "model", folder / "delta"
    for number in range(1, job.planned_rounds + 1):
        state.tofile(path)
        vectors = []
        for place, runner in enumerate(runners):
            sums = runner.train(path, delta, None, seed(number, place))
            vectors.append((np.fromfile(delta, published_dtype(job)), sums))
        plan, total, weight = _added(job, "train", vectors)
        apply_mean(job, plan, SummedUpdates(total, weight, len(parts)), state, mean)
    state.tofile(path)
    last = [runner.evaluate(path, None, seed(99, at)) for at, runner in enumerate(runners)]
    nothing = np.zeros(0, np.float32)
    plan, total, weight = _added(job, "evaluate", [(nothing, sums) for sums in last])
    return state, opened_sums(job, "evaluate", plan, total, weight)


def _added(
    job: TrainingSpec, stage: Any, vectors: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[Any, np.ndarray, int]:
    plan = masked_plan(job, "job_0123456789", spec_digest(job), stage)
    total, weight = np.zeros(plan.encoding.slots, plan.ring), 0
    for delta, sums in vectors:
        given = masked_parts(job, stage, plan, delta, sums)
        slots = np.zeros(plan.encoding.slots, plan.ring)
        encode(plan.encoding, given.values, given.weight, given.metrics, given.noise, slots)
        total, weight = total + slots, weight + given.weight
    return plan, total, weight
