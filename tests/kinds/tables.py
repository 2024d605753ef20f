"""The platform's tables with two kinds more, one for each composition root."""

from __future__ import annotations

from typing import Final

from secureflow.agent.compute.kind import WorkerKinds
from secureflow.agent.compute.kinds import WORKER_KINDS
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.cli.kinds import CliKinds, StatisticsText, TrainingText
from tests.kinds.counting import CountingAgent, CountingJobs, CountingText
from tests.kinds.tallying import TallyingAgent, TallyingJobs, TallyingText, TallyingWorker

JOBS: Final = JobKinds(*JOB_KINDS.values(), CountingJobs(), TallyingJobs())
AGENTS: Final = AgentKinds(*AGENT_KINDS.values(), CountingAgent(), TallyingAgent())
WORKERS: Final = WorkerKinds(*WORKER_KINDS.values(), TallyingWorker())
CLI: Final = CliKinds(TrainingText(), StatisticsText(), CountingText(), TallyingText())
