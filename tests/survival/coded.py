"""Agents whose jobs bring code: their own workers are forked, the code runs in the real sandbox.

Its environment is this interpreter's. The code never makes one update twice. Processes with it, and
the agent's own workers, die at points as well, of the name `code of PARTY`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import save

from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox
from secureflow.adapters.sandbox.choice import Choice
from secureflow.agent.owner.environments import FOLDER
from secureflow.application.ports.sandbox import Launch, SandboxProcess
from secureflow.demo.platform import Platform
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.engines.bundles import Bundle
from tests.survival.points import Points
from tests.survival.world import training

CODE: Final = "SECUREFLOW_TEST_CODE"
"""Set in its environment, an agent takes part in jobs with code."""
SHORT: Final = 0.2
"""Seconds for which an answer is held back at most: what matters is that it is when one dies. That
all of a step's time passes, `tests/unit/agent/test_bundle_workers.py` shows."""
ENVIRONMENT: Final = "cd" * 32
POLICY: Final = """permit(principal, action == Action::"training", resource)
    when { context.bundle_digest != "" };"""
SOURCE: Final = b"""
import os
import numpy as np


class Model:
    def __init__(self, settings, seed):
        self.rounds = []

    def prepare(self, training, validation):
        self.x, self.y = training["inputs"], training["labels"]
        self.rows = len(validation["labels"])

    def train(self, weights, round):
        self.rounds.append(round)
        print("trained", *self.rounds, flush=True)
        x = self.x @ weights["coef"] + weights["intercept"]
        error = 1 / (1 + np.exp(-x)) - self.y
        drawn = np.random.default_rng(int.from_bytes(os.urandom(16), "big"))
        weights["coef"] -= self.x.T @ error / len(error) + drawn.normal(0, 1e-3, len(self.x.T))
        weights["intercept"] -= error.mean()
        return weights

    def evaluate(self, weights):
        return {"rows": self.rows, "loss": float(np.abs(weights["coef"]).sum())}

    def initial(self):
        raise NotImplementedError
"""


class Both:
    """A sandbox for code alone; what SecureFlow brings is forked beside it."""

    name: Final = "both"
    confines: Final = True

    def __init__(self, points: Points) -> None:
        self._real, self._plain, self._points = BubblewrapSandbox(), PlainSandbox(), points

    def inside(self, launch: Launch, path: Path) -> Path:
        return self._plain.inside(launch, path)

    async def start(self, launch: Launch) -> SandboxProcess:
        if launch.ends is None:
            return await self._plain.start(launch)
        return await self._real.start(launch)


class Falling(Points):
    """Points at which another process than this one dies."""

    def falls(self, point: str) -> bool:
        """Tell whether one dies here, which is written down."""
        from tests.survival.points import ARMED, Arming

        try:
            armed = Arming(**json.loads((self._directory / ARMED).read_text()))
        except OSError:
            return False
        if armed.process != self._process or not self._fatal(armed, point):
            return False
        self._note(point)
        return True


def run(config: Path) -> int:
    """Run an agent that finds the environment of all jobs here: it is this one's."""
    import sys

    from secureflow.agent.compute.bundle_process import BundleProcess
    from secureflow.agent.compute.bundle_workers import BundleWorkers
    from secureflow.agent.compute.workers import Workers
    from secureflow.agent.edge import computing, main
    from secureflow.agent.owner.code import OwnerCode
    from tests.survival.entry import DIRECTORY

    points = Falling(Path(os.environ[DIRECTORY]), f"code of {config.parent.name}")

    async def both(mode: str) -> Choice:
        return Choice(Both(points))

    train, compute = BundleProcess.train, Workers.compute

    async def trained(self: Any, weights: Any, number: int, *, limit: float) -> Any:
        if points.falls(f"code {number} before"):
            os.kill(self._running.pid, signal.SIGKILL)
        found = await train(self, weights, number, limit=limit)
        if points.falls(f"code {number} after"):
            os.kill(self._running.pid, signal.SIGKILL)
        return found

    async def computed(self: Any, job: str, step: str, arguments: Any = None) -> Any:
        if points.falls(f"worker {step}"):
            os.kill(self.pids()[job], signal.SIGKILL)
        return await compute(self, job, step, arguments)

    def here(self: Any, environment: str) -> Path:
        return Path(sys.executable)

    made = BundleWorkers.__init__

    def make(self: Any, *given: Any) -> None:
        made(self, *given)
        answers = count(1)

        async def held_back(seconds: float) -> None:
            points.reach(f"held back {next(answers)}")
            await asyncio.sleep(min(seconds, SHORT))

        self._wait = held_back

    BundleWorkers.__init__ = make  # type: ignore[method-assign]
    computing.choose_sandbox = both  # type: ignore[assignment]
    BundleProcess.train = trained  # type: ignore[method-assign]
    Workers.compute = computed  # type: ignore[method-assign]
    OwnerCode.interpreter = here  # type: ignore[method-assign]
    return main.run(config)


def know_environment(place: Platform) -> None:
    """Describe the environment to every owner's agent."""
    described = {"name": "here", "digest": ENVIRONMENT, "python": "3.11.0", "packages": [],
                 "home": "here." + "0" * 16, "created": 0}  # fmt: skip
    for owner in place.parties.values():
        folder = owner.config.parent / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / "here.json").write_text(json.dumps(described))


def brought(
    place: Platform, environment: str = ENVIRONMENT, seconds: int = 600, **changes: Any
) -> Any:
    """Upload the code and its first weights; return the request of a job that names them."""
    asked = training(place, **changes)
    assert asked.features is not None
    width = asked.features.width
    bundle = Bundle({"model.py": SOURCE})
    weights = (TensorSpec("coef", (width,)), TensorSpec("intercept", (1,)))
    ref = BundleRef(bundle.digest, "model:Model", environment)
    model = BundleModel("bundle", ref, weights, ("rows", "loss"), seconds=seconds)
    zeros = place.directory / "zeros.safetensors"
    zeros.write_bytes(save({one.name: np.zeros(one.shape, np.float32) for one in weights}))
    with place.client("bank-a") as client:
        client.bundles.upload(bundle, asked.project, "drawn")
        return replace(
            asked, model=model, initial=client.models.upload(zeros, asked.project).initial
        )
