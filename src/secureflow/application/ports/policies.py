"""Decides by reviewed policy files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from secureflow.domain.policies import Decision, Nearly
from secureflow.kit.canonical import JSON


class Policies(Protocol):
    """Decides a dataset-use request by reviewed policy files."""

    def decide(self, request: Mapping[str, JSON]) -> Decision:
        """Return allow, refuse, or ask (a person)."""


@runtime_checkable
class Explaining(Policies, Protocol):
    """Policies that say why they decided so, and draft one from a decision of people."""

    def explain(self, request: Mapping[str, JSON]) -> tuple[Nearly, ...]:
        """Return each policy that permits, with what of it does not hold; the nearest first."""

    def suggest(self, request: Mapping[str, JSON], *, allow: bool, name: str, two: str) -> str:
        """Return the text of a policy that decides exactly such a request so."""
