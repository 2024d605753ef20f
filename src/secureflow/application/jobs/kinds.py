"""The kinds of job that SecureFlow has, as the application knows them."""

from __future__ import annotations

from typing import Final

from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.statistics import STATISTICS_JOBS
from secureflow.application.jobs.training import TRAINING_JOBS

JOB_KINDS: Final = JobKinds(TRAINING_JOBS, STATISTICS_JOBS)
