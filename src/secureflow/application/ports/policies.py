"""Decides by reviewed policy files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from secureflow.domain.policies import Decision
from secureflow.kit.canonical import JSON


class Policies(Protocol):
    """Decides a dataset-use request by reviewed policy files."""

    def decide(self, request: Mapping[str, JSON]) -> Decision:
        """Return allow, refuse, or ask (a person)."""
