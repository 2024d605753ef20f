"""A typed client of the platform: `Client` blocks, `AsyncClient` is for asyncio."""

from __future__ import annotations

from secureflow.domain.specs.preparation_request import PreparationNoise, PreparationRequest
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.sklearn_families import (
    GaussianNbModel,
    KMeansModel,
    MlpClassifierModel,
    MlpRegressorModel,
    MultinomialNbModel,
    SgdClassifierModel,
    SgdRegressorModel,
)
from secureflow.domain.specs.statistics_request import NoiseRequest, StatisticsRequest
from secureflow.domain.specs.training import (
    LinearModel,
    MlpModel,
    RidgeModel,
    SoftmaxModel,
    TrainingPlan,
)
from secureflow.domain.specs.training_request import TrainingRequest
from secureflow.sdk.client import AsyncClient, Client
from secureflow.sdk.events import Event
from secureflow.sdk.features import common_features, recipe_features
from secureflow.sdk.profile import Profile, load_profile, save_profile
from secureflow.sdk.queries import query
from secureflow.sdk.reports import Report
from secureflow.sdk.runlogs import RunLog
from secureflow.sdk.tables import Table

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "GaussianNbModel",
    "KMeansModel",
    "LinearModel",
    "MlpClassifierModel",
    "MlpModel",
    "MlpRegressorModel",
    "MultinomialNbModel",
    "NoiseRequest",
    "PreparationNoise",
    "PreparationRequest",
    "Privacy",
    "Profile",
    "ProtectionName",
    "Report",
    "RidgeModel",
    "RunLog",
    "SgdClassifierModel",
    "SgdRegressorModel",
    "SoftmaxModel",
    "StatisticsRequest",
    "Table",
    "TrainingPlan",
    "TrainingRequest",
    "common_features",
    "load_profile",
    "query",
    "recipe_features",
    "save_profile",
]
