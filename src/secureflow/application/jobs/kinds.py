"""The application's parts of SecureFlow's kinds of job."""

from __future__ import annotations

from typing import Final

from secureflow.application.jobs.evaluation import EVALUATION_JOBS
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.mpc import MPC_JOBS
from secureflow.application.jobs.pipeline import PipelineJobs
from secureflow.application.jobs.prediction import PREDICTION_JOBS
from secureflow.application.jobs.preparation import PREPARATION_JOBS
from secureflow.application.jobs.psi import PSI_JOBS
from secureflow.application.jobs.statistics import STATISTICS_JOBS
from secureflow.application.jobs.sweep import SWEEP_JOBS
from secureflow.application.jobs.timetable import TimetableJobs
from secureflow.application.jobs.training import TRAINING_JOBS

TIMETABLE_JOBS: Final = TimetableJobs(
    TRAINING_JOBS,
    STATISTICS_JOBS,
    PREPARATION_JOBS,
    EVALUATION_JOBS,
    PREDICTION_JOBS,
    PSI_JOBS,
    MPC_JOBS,
)
PIPELINE_JOBS: Final = PipelineJobs(
    TRAINING_JOBS,
    STATISTICS_JOBS,
    PREPARATION_JOBS,
    EVALUATION_JOBS,
    PREDICTION_JOBS,
    PSI_JOBS,
    MPC_JOBS,
)
JOB_KINDS: Final = JobKinds(
    TRAINING_JOBS,
    STATISTICS_JOBS,
    PREPARATION_JOBS,
    EVALUATION_JOBS,
    PREDICTION_JOBS,
    SWEEP_JOBS,
    PSI_JOBS,
    MPC_JOBS,
    TIMETABLE_JOBS,
    PIPELINE_JOBS,
)
