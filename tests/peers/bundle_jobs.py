"""Jobs that bring code, at the workers of one agent: rows of a file, code of a dictionary."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from secureflow.adapters.frameworks import runner_of
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.compute.bundle_workers import BundleWorkers
from secureflow.agent.compute.code_logs import Whose
from secureflow.agent.compute.jobfiles import OUTPUTS, UPDATE, code_folder
from secureflow.agent.compute.kinds import CODE_KINDS
from secureflow.agent.compute.training import ROWS, evaluate_arguments, train_arguments
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.domain.specs.base import RosterEntry, dump, parse
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.engines.bundles import Bundle
from secureflow.engines.preparation import Columns
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.sourcetree import write_tree

JOB = "job_mine"
SEED = "ab" * 32
FEATURES = FeatureSpec(
    Label("y", "1"),
    (NumericFeature("x", (-10.0, 10.0), "bounds"),),
    (CategoricalFeature("kind", ("a", "b")),),
)
W = (TensorSpec("w", (3,)),)


def rows_of(count: int = 60) -> Columns:
    """Return the columns of a small table."""
    draws = np.random.default_rng(1)
    x = draws.normal(size=count)
    return {
        "x": x,
        "kind": np.where(x > 1, "b", "a").astype(object),
        "y": np.where(x + draws.normal(size=count) > 0, "1", "0").astype(object),
        "price": np.round(10 * x, 2),
        "weight": draws.uniform(1, 3, count),
    }


def code_spec(**changes: Any) -> TrainingSpec:
    """Return a job that names code; `weights`, `sums`, `settings`, `seconds` are its model's."""
    model = BundleModel("bundle", BundleRef("ab" * 32, "model:Model", "cd" * 32), W)
    own = {one: changes.pop(one) for one in ("weights", "sums", "settings", "seconds")
           if one in changes}  # fmt: skip
    made = TrainingSpec(
        project="prj_0000000000",
        name="churn",
        purpose="t",
        submitter="usr_ana",
        roster=tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
        features=FEATURES,
        model=replace(model, **own),
        plan=TrainingPlan(validation=0.2),
    )
    return replace(made, **changes)


def model_source(**bodies: str) -> bytes:
    """Return a module whose class has these bodies, each of one line or more."""
    given = {"made": "pass", "prepare": "pass", "train": "return weights", "evaluate": "return {}"}
    lines = ["import json, os, sys, time", "import numpy as np", "class Model:"]
    heads = {
        "made": "__init__(self, settings, seed)",
        "initial": "initial(self)",
        "prepare": "prepare(self, training, validation)",
        "train": "train(self, weights, round)",
        "evaluate": "evaluate(self, weights)",
    }
    for name, head in heads.items():
        lines.append(f"    def {head}:")
        body = bodies.get(name, given.get(name, "return {}"))
        lines += [f"        {line}" for line in body.strip("\n").split("\n")]
    return ("\n".join(lines) + "\n").encode()


@dataclass
class Code:
    """The owner's code and environments, of which there is one: a Python with NumPy."""

    files: Mapping[str, bytes]
    python: str = sys.executable
    written: list[Path] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    broken: str = ""
    owners: dict[str, Whose] = field(default_factory=dict)
    """Whose jobs are."""

    async def fetch(self, digest: str) -> None:
        self.fetched.append(digest)

    def write(self, digest: str, folder: Path) -> None:
        assert digest == "ab" * 32
        write_tree(folder, Bundle(self.files).files)
        self.written.append(folder)

    def interpreter(self, environment: str) -> Path:
        self.asked.append(environment)
        if self.broken:
            raise SecureFlowError(self.broken, "an environment's problem")
        return Path(self.python)

    def whose(self, job: str) -> Whose:
        return self.owners.get(job, Whose())


class Reader:
    """SecureFlow's own workers, in this process."""

    def __init__(self, config: WorkerConfig, columns: Columns) -> None:
        self.config = config
        self.calls: list[str] = []
        self._columns = columns
        self._runners: dict[str, Any] = {}

    async def check(self, job: str, spec: Mapping[str, Any], dataset: Any) -> None:
        self.calls.append("check")

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: Any,
        salt: Any = None,
        commitment: str = "",
        keys: bytes = b"",
    ) -> dict[str, Any]:
        self.calls.append("prepare")
        assert self.config.files is not None
        (self.config.files / job).mkdir(parents=True, exist_ok=True)
        for name in OUTPUTS:
            (self.config.files / job / name).touch(0o600)
        runner = runner_of(parse(TrainingSpec, dict(spec), stored=True), self._columns)
        self._runners[job] = runner
        return {"rows": runner.rows[0], "validation": runner.rows[1], "commitment": commitment}

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.calls.append(step)
        assert step == ROWS
        assert arguments is not None
        counts = self._runners[job].write_rows(Path(arguments["path"]), arguments["moments"])
        return {"sums": [float(one) for one in counts], "seconds": 0.0}

    async def close(self, job: str) -> None:
        self.calls.append("close")
        self._runners.pop(job, None)

    async def stop(self) -> None:
        self.calls.append("stop")


@dataclass
class Place:
    """An agent's folder with a job that brings code, prepared."""

    workers: BundleWorkers
    code: Code
    spec: TrainingSpec
    directory: Path
    reader: Any
    moments: list[float] | None = None
    waited: list[float] = field(default_factory=list)
    """Seconds for which answers were kept back."""

    @property
    def job(self) -> Path:
        return self.directory / "models" / JOB

    @property
    def log(self) -> Path:
        return self.directory / "bundles" / "logs" / f"{JOB}.log"

    @property
    def pid(self) -> int:
        """The process with the code in it, as the host counts."""
        process = self.workers._jobs[JOB].process
        assert process is not None
        assert process._running is not None
        return process._running.pid

    def model(self, values: Any = 0.0) -> Path:
        path = self.job / "first.model"
        np.broadcast_to(np.asarray(values, "<f4"), (self.spec.parameters,)).tofile(path)
        return path

    async def train(self, number: int = 1, values: Any = 0.0) -> list[float]:
        asked = train_arguments(
            self.model(values), self.job / UPDATE, self.moments, SEED, number=number
        )
        found = await self.workers.compute(JOB, "train", {**asked, "round": number})
        return [float(one) for one in found["sums"]]

    async def evaluate(self, values: Any = 0.0) -> list[float]:
        asked = evaluate_arguments(self.model(values), self.moments, SEED)
        return [float(one) for one in (await self.workers.compute(JOB, "evaluate", asked))["sums"]]

    @property
    def update(self) -> Any:
        """The update that was written last, as float32."""
        return np.fromfile(self.job / UPDATE, "<f4")


@asynccontextmanager
async def place(
    directory: Path,
    files: Mapping[str, bytes] | bytes,
    spec: TrainingSpec | None = None,
    *,
    python: str = sys.executable,
    columns: Columns | None = None,
    **config: Any,
) -> AsyncIterator[Place]:
    """Prepare a job with this code in the real sandbox; afterwards nothing of it runs."""
    given = {"memory": 1 << 30, "sandbox": BubblewrapSandbox(), "hidden": (directory,), **config}
    spec = spec or code_spec()
    code = Code({"model.py": files} if isinstance(files, bytes) else files, python)
    reader = Reader(
        WorkerConfig(files=directory / "models", **given), rows_of() if columns is None else columns
    )
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    workers = BundleWorkers(cast("Any", reader), lambda: code, directory, CODE_KINDS, wait)
    made = Place(workers, code, spec, directory, reader, waited=waited)
    made.log.unlink(missing_ok=True)  # of another job of this name, as is its code
    shutil.rmtree(code_folder(directory / "models", JOB), ignore_errors=True)
    try:
        await workers.prepare(JOB, dump(spec), None)
        yield made
    finally:
        await workers.stop()


def gone(pid: int) -> bool:
    """Tell whether there is no such process any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
