"""The kinds of job that SecureFlow has, as the worker knows them."""

from __future__ import annotations

from typing import Final

from secureflow.agent.compute.kind import WorkerKinds
from secureflow.agent.compute.statistics import STATISTICS
from secureflow.agent.compute.training import TRAINING

WORKER_KINDS: Final = WorkerKinds(TRAINING, STATISTICS)
