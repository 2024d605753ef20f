"""Jobs that apply a model of a bundle, at the workers of one agent: a real file, a real sandbox.

SecureFlow's own worker is in this process; the code is in the sandbox, under this Python.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from peers.bundle_jobs import JOB, Code

from secureflow.adapters.datasources import SourceLimits
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.compute.bundle_workers import BundleWorkers
from secureflow.agent.compute.evaluation import SUMS, sums_arguments
from secureflow.agent.compute.jobfiles import OUTPUTS
from secureflow.agent.compute.kinds import CODE_KINDS
from secureflow.agent.compute.prediction import PREDICT, predict_arguments
from secureflow.agent.compute.worker import Worker
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump

COUNT = 60
CLASSES = ["low", "mid", "high"]
LABELS: dict[str, Any] = {
    "binary": {"column": "income", "positive": "high"},
    "classes": {"column": "income", "classes": CLASSES},
    "number": {"column": "price", "bounds": [0, 40]},
}
ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]

HEAD = """
import json, os, sys, time
import numpy as np
class Model:
    def __init__(self, settings, seed):
        self.settings, self.seed = settings, seed
    def initial(self): raise AssertionError
    def prepare(self, training, validation): raise AssertionError
    def train(self, weights, round): raise AssertionError
    def evaluate(self, weights): raise AssertionError
"""
GOOD = {
    "binary": "return 1 / (1 + np.exp(-rows['inputs'] @ weights['w']))",
    "classes": """
z = np.stack([k * (rows['inputs'] @ weights['w']) for k in range(3)], axis=1)
z = np.exp(z - z.max(axis=1, keepdims=True))
return (z / z.sum(axis=1, keepdims=True)).astype('float32')""",
    "number": "return np.tanh(rows['inputs'] @ weights['w']) * 2",
}
WEIGHTS = np.array([2.0, 0.5], "<f4")


def source(body: str | None) -> bytes:
    """Return a module whose class predicts by this body; None for a class that does not."""
    if body is None:
        return HEAD.encode()
    lines = "\n".join(f"        {one}" for one in body.strip("\n").split("\n"))
    return f"{HEAD}    def predict(self, weights, rows):\n{lines}\n".encode()


def scored(form: str = "binary", **changes: Any) -> dict[str, Any]:
    """Return a model of a bundle as a spec holds it."""
    ref = {"digest": "ab" * 32, "entry": "model:Model", "environment": "cd" * 32}
    features = {
        "label": LABELS[form],
        "numeric": [
            {"column": name, "bounds": [-3, 3], "scale": "bounds"} for name in ("age", "debt")
        ],
    }
    model = {"family": "bundle", "bundle": ref, "settings": {"k": 2}, "seconds": 20,
             "weights": [{"name": "w", "shape": [2], "dtype": "float32"}]}  # fmt: skip
    named = {"job": "job_aaaaaaaaaa", "digest": "ef" * 32, "seed": 5}
    model |= {name: changes.pop(name) for name in ("seconds",) if name in changes}
    return {**named, "features": features, "model": model, **changes}


def table() -> dict[str, Any]:
    """Return the columns of the owner's file."""
    draw = np.random.default_rng(4)
    age, debt = draw.normal(size=(2, COUNT)).round(3)
    place = np.digitize(age + draw.normal(size=COUNT) / 2, [-0.4, 0.4])
    return {
        "age": age, "debt": debt, "income": np.array(CLASSES)[place],
        "price": (20 + 8 * age).clip(0, 40).round(2),
    }  # fmt: skip


def dataset(folder: Path, count: int = COUNT) -> DatasetConfig:
    """Write the owner's file of so many rows, and return its declaration."""
    columns = table()
    folder.mkdir(parents=True, exist_ok=True)
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, one)) for one in [*rows][:count])]
    (folder / "people.csv").write_text("\n".join(lines) + "\n")
    declared = (
        *(ColumnConfig(name, "number", bounds=(-3.0, 3.0)) for name in ("age", "debt")),
        ColumnConfig("income", "category", categories=tuple(CLASSES)),
        ColumnConfig("price", "number", bounds=(0.0, 40.0)),
    )
    return DatasetConfig("people", str(folder / "people.csv"), "csv", declared)


class Own:
    """SecureFlow's own workers, in this process."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.worker = Worker(SourceLimits())
        self.calls: list[str] = []
        self.claims = -1

    async def prepare(
        self, job: str, spec: Mapping[str, Any], declared: Any, *_: Any
    ) -> dict[str, Any]:
        assert self.config.files is not None
        (self.config.files / job).mkdir(parents=True, exist_ok=True)
        for name in OUTPUTS:
            (self.config.files / job / name).touch(0o600)
        found = self.worker.prepare(job, dict(spec), dump(declared), "00" * 32)
        return {**found, "rows": found["rows"] if self.claims < 0 else self.claims}

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.calls.append(step)
        return self.worker.compute(step, job, **(arguments or {}))

    async def close(self, job: str) -> None:
        self.worker.close(job)

    async def stop(self) -> None:
        pass


@dataclass
class Place:
    """An agent's folder with a job that applies a model of a bundle."""

    workers: BundleWorkers
    code: Code
    own: Own
    spec: Any
    directory: Path

    @property
    def job(self) -> Path:
        return self.directory / "models" / JOB

    @property
    def log(self) -> str:
        path = self.directory / "bundles" / "logs" / f"{JOB}.log"
        return path.read_text() if path.exists() else ""

    @property
    def file(self) -> Path:
        """What the code said, as it is kept."""
        return self.parameters.with_suffix(".outputs")

    @property
    def parameters(self) -> Path:
        path = self.job / f"{'ef' * 32}.blob"
        WEIGHTS.tofile(path)
        return path

    async def ask(self) -> list[float]:
        """Have the job's step computed."""
        if self.spec.kind == "prediction":
            arguments = predict_arguments(self.parameters, self.job / "update")
            return list((await self.workers.compute(JOB, PREDICT, arguments))["sums"])
        arguments = sums_arguments(self.parameters, 1, "bank-a", "11" * 32, "22" * 32)
        return list((await self.workers.compute(JOB, SUMS, arguments))["sums"])


@asynccontextmanager
async def place(
    directory: Path, files: bytes, spec: Any, *, claims: int = -1, count: int = COUNT
) -> AsyncIterator[Place]:
    """Prepare a job with this code in the real sandbox; afterwards nothing of it runs.

    `claims` is the number of rows that the worker names, -1 for the true one; `count` is that.
    """
    declared = dataset(directory, count)
    config = WorkerConfig(
        files=directory / "models", memory=1 << 30, sandbox=BubblewrapSandbox(), hidden=(directory,)
    )
    own, code = Own(config), Code({"model.py": files}, sys.executable)
    own.claims = claims
    workers = BundleWorkers(cast("Any", own), lambda: code, directory, CODE_KINDS)
    try:
        await workers.prepare(JOB, dump(spec), declared)
        yield Place(workers, code, own, spec, directory)
    finally:
        await workers.stop()
