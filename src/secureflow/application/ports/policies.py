"""Decides by reviewed policy files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from secureflow.domain.policies import Decision

JSON = Any


class Policies(Protocol):
    """Decides a dataset-use request by reviewed policy files."""

    def decide(self, request: Mapping[str, JSON]) -> Decision:
        """Return allow, refuse, or ask (a person)."""
