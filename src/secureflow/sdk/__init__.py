"""A typed client of the platform: `Client` blocks, `AsyncClient` awaits, both do the same."""

from __future__ import annotations

from secureflow.sdk.client import AsyncClient, Client
from secureflow.sdk.events import Event
from secureflow.sdk.profile import Profile, load_profile, save_profile
from secureflow.sdk.recipes import common_features
from secureflow.sdk.views import JobRequest

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "JobRequest",
    "Profile",
    "common_features",
    "load_profile",
    "save_profile",
]
