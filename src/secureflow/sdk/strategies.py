"""Strategies and robust rules that the plan of a training can name."""

from __future__ import annotations

from secureflow.domain.specs.strategylist import StrategyEntry
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation


class Strategies(Resource[D_co]):
    """What a centre's version has."""

    @operation
    def list(self) -> Call[tuple[StrategyEntry, ...]]:
        """Return every strategy, then every rule."""
        return verbs.read("/strategies", answers.several(StrategyEntry))

    @operation
    def get(self, name: str) -> Call[StrategyEntry]:
        """Return one by its name."""
        return verbs.get(f"/strategies/{name}", StrategyEntry)
