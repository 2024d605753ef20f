"""The kinds of job that SecureFlow has, at the worker."""

from __future__ import annotations

from typing import Final

from secureflow.agent.compute.kind import WorkerKinds
from secureflow.agent.compute.statistics import STATISTICS_WORKER
from secureflow.agent.compute.training import TRAINING_WORKER

WORKER_KINDS: Final = WorkerKinds(TRAINING_WORKER, STATISTICS_WORKER)
