"""SecureFlow's kinds of job in the engines."""

from __future__ import annotations

from typing import Final

from secureflow.engines.evaluation.kind import EVALUATION_ENGINE
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.engines.pipeline.kind import PipelineEngineKind
from secureflow.engines.prediction.kind import PREDICTION_ENGINE
from secureflow.engines.psi.kind import PSI_ENGINE
from secureflow.engines.recipes.kind import PREPARATION_ENGINE
from secureflow.engines.run.kind import EngineKinds
from secureflow.engines.statistics.kind import STATISTICS_ENGINE
from secureflow.engines.sweep.kind import SWEEP_ENGINE
from secureflow.engines.timetable.kind import TimetableEngineKind
from secureflow.engines.training.kind import TRAINING_ENGINE

TIMETABLE_ENGINE: Final = TimetableEngineKind(
    TRAINING_ENGINE,
    STATISTICS_ENGINE,
    PREPARATION_ENGINE,
    EVALUATION_ENGINE,
    PREDICTION_ENGINE,
    PSI_ENGINE,
    MPC_ENGINE,
)
PIPELINE_ENGINE: Final = PipelineEngineKind(
    TRAINING_ENGINE,
    STATISTICS_ENGINE,
    PREPARATION_ENGINE,
    EVALUATION_ENGINE,
    PREDICTION_ENGINE,
    PSI_ENGINE,
    MPC_ENGINE,
)
ENGINE_KINDS: Final = EngineKinds(
    TRAINING_ENGINE,
    STATISTICS_ENGINE,
    PREPARATION_ENGINE,
    EVALUATION_ENGINE,
    PREDICTION_ENGINE,
    SWEEP_ENGINE,
    PSI_ENGINE,
    MPC_ENGINE,
    TIMETABLE_ENGINE,
    PIPELINE_ENGINE,
)
