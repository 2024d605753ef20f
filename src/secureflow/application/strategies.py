"""Use cases around strategies: which there are, what they take, where they can run."""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.application.access import Principal, require
from secureflow.domain.specs.strategylist import StrategyEntry, entries, entry_of


class Strategies:
    """Lists the strategies and robust rules of this version."""

    def list(self, principal: Principal) -> Sequence[StrategyEntry]:
        """Return every strategy, then every rule; raises `forbidden`."""
        require(principal, "job.read")
        return list(entries())

    def get(self, principal: Principal, name: str) -> StrategyEntry:
        """Return one; raises `forbidden`, `not_found`."""
        require(principal, "job.read")
        return entry_of(name)
