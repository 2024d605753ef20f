"""A trainer that never makes one update twice, in the tables of mortal agents and their workers.

Jobs of the name `DRAWN` are trained by it; all others as ever. Run as a file it is a worker.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.adapters.frameworks import NumpyRunner
from secureflow.adapters.sandbox import PlainSandbox
from secureflow.agent.compute import worker
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, WorkerKinds
from secureflow.agent.compute.kinds import WORKER_KINDS
from secureflow.agent.compute.training import TrainingWorker
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.kinds.training.kind import TrainingAgentKind
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import repeats

DRAWN: Final = "drawn"


class Drawing(NumpyRunner):
    """Adds numbers to every update that nobody can draw again; its state counts the updates."""

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        assert state is not None
        sums = super().train(model, update, moments, seed)
        delta = np.fromfile(update, "<f4")
        drawn = np.random.default_rng(int.from_bytes(os.urandom(16))).normal(0, 1e-3, len(delta))
        (delta + drawn.astype(np.float32)).tofile(update)
        before, after = state
        after.write_bytes((before.read_bytes() if before else b"") + b".")
        return sums


class DrawingWorker(TrainingWorker):
    def prepare(
        self,
        job: str,
        spec: TrainingSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        if spec.name != DRAWN or config is None:
            return super().prepare(job, spec, config, limits, secrets)
        runner = Drawing(spec, open_source(config, limits).read(spec.column_names), secrets.file)
        return Prepared(runner, *runner.rows)


AGENTS: Final = AgentKinds(
    TrainingAgentKind(lambda spec: spec.name != DRAWN and repeats(spec)),
    AGENT_KINDS["statistics"],
    AGENT_KINDS["preparation"],
    AGENT_KINDS["evaluation"],
    AGENT_KINDS["sweep"],
    AGENT_KINDS["timetable"],
    AGENT_KINDS["prediction"],
)
WORKERS: Final = WorkerKinds(
    DrawingWorker(),
    WORKER_KINDS["statistics"],
    WORKER_KINDS["preparation"],
    WORKER_KINDS["evaluation"],
    WORKER_KINDS["prediction"],
)


def run(config: Path) -> int:
    """Run an agent whose workers run this file: isolated as they are, they find no package here."""
    from secureflow.agent.edge import main

    script = config.with_name("drawing.sh")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I {__file__} "$@"\n')
    script.chmod(0o700)

    def plain(**given: Any) -> WorkerConfig:
        """A shell that begins the interpreter is not seen in a sandbox."""
        return WorkerConfig(**{**given, "python": str(script), "sandbox": PlainSandbox()})

    main.WorkerConfig = plain  # type: ignore[assignment, misc]
    return main.run(config, AGENTS)


if __name__ == "__main__":
    worker.main(WORKERS)
