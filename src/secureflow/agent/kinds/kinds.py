"""The kinds of job that SecureFlow has, at an agent."""

from __future__ import annotations

from typing import Final

from secureflow.agent.kinds.evaluation import EVALUATION_AGENT
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.mpc import MPC_AGENT
from secureflow.agent.kinds.pipeline import PipelineAgentKind
from secureflow.agent.kinds.prediction import PREDICTION_AGENT
from secureflow.agent.kinds.preparation import PREPARATION_AGENT
from secureflow.agent.kinds.psi import PSI_AGENT
from secureflow.agent.kinds.statistics import STATISTICS_AGENT
from secureflow.agent.kinds.sweep import SWEEP_AGENT
from secureflow.agent.kinds.timetable import TimetableAgentKind
from secureflow.agent.kinds.training.kind import TRAINING_AGENT

TIMETABLE_AGENT: Final = TimetableAgentKind(
    TRAINING_AGENT,
    STATISTICS_AGENT,
    PREPARATION_AGENT,
    EVALUATION_AGENT,
    PREDICTION_AGENT,
    PSI_AGENT,
    MPC_AGENT,
)
PIPELINE_AGENT: Final = PipelineAgentKind(
    TRAINING_AGENT,
    STATISTICS_AGENT,
    PREPARATION_AGENT,
    EVALUATION_AGENT,
    PREDICTION_AGENT,
    PSI_AGENT,
    MPC_AGENT,
)
AGENT_KINDS: Final = AgentKinds(
    TRAINING_AGENT,
    STATISTICS_AGENT,
    PREPARATION_AGENT,
    EVALUATION_AGENT,
    PREDICTION_AGENT,
    SWEEP_AGENT,
    PSI_AGENT,
    MPC_AGENT,
    TIMETABLE_AGENT,
    PIPELINE_AGENT,
)
