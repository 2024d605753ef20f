"""A typed client of the platform: `Client` blocks, `AsyncClient` awaits, both do the same."""

from __future__ import annotations

from secureflow.domain.noise import NoiseWish
from secureflow.domain.specs.base import Protection
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.sdk.client import AsyncClient, Client
from secureflow.sdk.events import Event
from secureflow.sdk.profile import Profile, load_profile, save_profile
from secureflow.sdk.queries import query
from secureflow.sdk.recipes import common_features
from secureflow.sdk.views import JobRequest, StatisticsRequest

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "JobRequest",
    "NoiseWish",
    "Privacy",
    "Profile",
    "Protection",
    "StatisticsRequest",
    "TrainingPlan",
    "common_features",
    "load_profile",
    "query",
    "save_profile",
]
