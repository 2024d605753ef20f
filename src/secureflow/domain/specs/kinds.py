"""The kinds of job that SecureFlow has."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.bundles import BUNDLE_FACTS
from secureflow.domain.specs.evaluation import EvaluationSpec, check_evaluation
from secureflow.domain.specs.evaluation_request import EvaluationRequest
from secureflow.domain.specs.kind import SpecKind, SpecKinds
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.domain.specs.mpc_request import MpcRequest
from secureflow.domain.specs.pipeline_rules import pipeline_kind
from secureflow.domain.specs.prediction import PredictionSpec, check_prediction
from secureflow.domain.specs.prediction_request import PredictionRequest
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.domain.specs.preparation_request import PreparationRequest
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.psi_request import PsiRequest
from secureflow.domain.specs.psi_rules import check_psi
from secureflow.domain.specs.statistics import StatisticsSpec, check_statistics
from secureflow.domain.specs.statistics_request import StatisticsRequest
from secureflow.domain.specs.sweep import SweepSpec, check_sweep
from secureflow.domain.specs.sweep_request import SweepRequest
from secureflow.domain.specs.timetable import timetable_kind
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_request import TrainingRequest
from secureflow.domain.specs.training_rules import check

TRAINING_SPEC: Final = SpecKind(
    "training",
    TrainingSpec,
    TrainingRequest,
    check,
    {
        **{"family": "text", "rounds": "number", "release": "text"},
        **{"validation_rows": "number", "own_trees": "number", "self_report": "text"},
        **{"parties_per_round": "number", "small_leaves": "number"},
        **BUNDLE_FACTS,
    },
)
STATISTICS_SPEC: Final = SpecKind(
    "statistics",
    StatisticsSpec,
    StatisticsRequest,
    check_statistics,
    {
        **{"measures": "texts", "queries": "number", "unit": "text"},
        **{"contributions": "number", "noise": "text"},
    },
)
PREPARATION_SPEC: Final = SpecKind(
    "preparation",
    PreparationSpec,
    PreparationRequest,
    check_preparation,
    {"steps": "texts", "rounds": "number", "contributions": "number"},
)
EVALUATION_SPEC: Final = SpecKind(
    "evaluation",
    EvaluationSpec,
    EvaluationRequest,
    check_evaluation,
    {
        **{"models": "texts", "families": "texts"},
        **{"per_party": "number", "contributions": "number"},
        **BUNDLE_FACTS,
    },
)
PREDICTION_SPEC: Final = SpecKind(
    "prediction",
    PredictionSpec,
    PredictionRequest,
    check_prediction,
    {
        **{"model": "text", "family": "text", "outputs": "texts"},
        **{"beside": "texts", "deliver": "text"},
        **BUNDLE_FACTS,
    },
)
SWEEP_SPEC: Final = SpecKind(
    "sweep",
    SweepSpec,
    SweepRequest,
    check_sweep,
    {
        **{"family": "text", "release": "text"},
        **{"points": "number", "rounds": "number", "sets": "texts"},
    },
)
MPC_SPEC: Final = SpecKind(
    "mpc",
    MpcSpec,
    MpcRequest,
    check_mpc,
    {
        **{"program": "text", "version": "number", "protocol": "text", "engine": "text"},
        **{"measures": "texts", "receivers": "texts", "engine_program": "text"},
        **{"attempts": "number", "contributions": "number"},
        **BUNDLE_FACTS,
    },
    peers=True,
)
PSI_SPEC: Final = SpecKind(
    "psi",
    PsiSpec,
    PsiRequest,
    check_psi,
    {
        **{"learns": "text", "receiver": "text", "join": "text", "protocol": "text"},
        **{"engine": "text", "rules": "texts", "granted": "texts"},
        **{"most_rows": "number", "minimum": "number", "attempts": "number"},
    },
    peers=True,
)
TIMETABLE_SPEC: Final = timetable_kind(
    TRAINING_SPEC,
    STATISTICS_SPEC,
    PREPARATION_SPEC,
    EVALUATION_SPEC,
    PREDICTION_SPEC,
    PSI_SPEC,
    MPC_SPEC,
)
PIPELINE_SPEC: Final = pipeline_kind(
    TRAINING_SPEC,
    STATISTICS_SPEC,
    PREPARATION_SPEC,
    EVALUATION_SPEC,
    PREDICTION_SPEC,
    PSI_SPEC,
    MPC_SPEC,
)
SPEC_KINDS: Final = SpecKinds(
    TRAINING_SPEC,
    STATISTICS_SPEC,
    PREPARATION_SPEC,
    EVALUATION_SPEC,
    PREDICTION_SPEC,
    SWEEP_SPEC,
    PSI_SPEC,
    MPC_SPEC,
    TIMETABLE_SPEC,
    PIPELINE_SPEC,
)
JUDGED_BY_PARTS: Final = frozenset({TIMETABLE_SPEC.name, PIPELINE_SPEC.name})
"""The kinds of which a project's rules look at the jobs that they start."""
