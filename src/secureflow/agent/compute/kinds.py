"""The kinds of job that SecureFlow has, at the worker."""

from __future__ import annotations

from typing import Final

from secureflow.agent.compute.evaluation import EVALUATION_WORKER
from secureflow.agent.compute.kind import CodeKinds, WorkerKinds
from secureflow.agent.compute.mpc import MPC_WORKER
from secureflow.agent.compute.prediction import PREDICTION_WORKER
from secureflow.agent.compute.preparation import PREPARATION_WORKER
from secureflow.agent.compute.psi import PSI_WORKER
from secureflow.agent.compute.scored_code import EVALUATION_CODE, PREDICTION_CODE
from secureflow.agent.compute.statistics import STATISTICS_WORKER
from secureflow.agent.compute.training import TRAINING_WORKER
from secureflow.agent.compute.training_code import TRAINING_CODE

WORKER_KINDS: Final = WorkerKinds(
    *(TRAINING_WORKER, STATISTICS_WORKER, PREPARATION_WORKER, EVALUATION_WORKER),
    *(PREDICTION_WORKER, PSI_WORKER, MPC_WORKER),
)
CODE_KINDS: Final[CodeKinds] = {
    TRAINING_WORKER.spec.name: TRAINING_CODE,
    EVALUATION_WORKER.spec.name: EVALUATION_CODE,
    PREDICTION_WORKER.spec.name: PREDICTION_CODE,
}
"""Those that may bring code."""
