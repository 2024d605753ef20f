"""A typed client of the platform: `Client` blocks, `AsyncClient` is for asyncio."""

from __future__ import annotations

from secureflow.domain.specs.evaluation import Costs
from secureflow.domain.specs.evaluation_request import EvaluationRequest
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.jointsums import SumsQuery
from secureflow.domain.specs.mpc_request import MpcRequest
from secureflow.domain.specs.prediction_request import PredictionRequest
from secureflow.domain.specs.preparation_request import PreparationRequest
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.psi_request import PsiRequest
from secureflow.domain.specs.sklearn_families import (
    GaussianNbModel,
    KMeansModel,
    MlpClassifierModel,
    MlpRegressorModel,
    MultinomialNbModel,
    SgdClassifierModel,
    SgdRegressorModel,
)
from secureflow.domain.specs.split import KeySplit
from secureflow.domain.specs.statistics_request import NoiseRequest, StatisticsRequest
from secureflow.domain.specs.summed import SummedNoise
from secureflow.domain.specs.training import (
    EarlyStop,
    LinearModel,
    MlpModel,
    RidgeModel,
    SoftmaxModel,
    TrainingPlan,
)
from secureflow.domain.specs.training_request import TrainingRequest
from secureflow.domain.webhooksignatures import verify_webhook
from secureflow.sdk.client import AsyncClient, Client
from secureflow.sdk.events import Event
from secureflow.sdk.features import common_features, recipe_features
from secureflow.sdk.intersections import psi_request
from secureflow.sdk.profile import Profile, load_profile, save_profile
from secureflow.sdk.queries import query
from secureflow.sdk.reports import Report
from secureflow.sdk.runlogs import RunLog
from secureflow.sdk.tables import Table

__all__ = [
    "AsyncClient",
    "Client",
    "Costs",
    "EarlyStop",
    "EvaluationRequest",
    "Event",
    "GaussianNbModel",
    "HeldOut",
    "KMeansModel",
    "KeySplit",
    "LinearModel",
    "MlpClassifierModel",
    "MlpModel",
    "MlpRegressorModel",
    "MpcRequest",
    "MultinomialNbModel",
    "NoiseRequest",
    "PredictionRequest",
    "PreparationRequest",
    "Privacy",
    "Profile",
    "ProtectionName",
    "PsiRequest",
    "Report",
    "RidgeModel",
    "RunLog",
    "SgdClassifierModel",
    "SgdRegressorModel",
    "SoftmaxModel",
    "StatisticsRequest",
    "SummedNoise",
    "SumsQuery",
    "Table",
    "TrainingPlan",
    "TrainingRequest",
    "common_features",
    "load_profile",
    "psi_request",
    "query",
    "recipe_features",
    "save_profile",
    "verify_webhook",
]
