"""Strategies and robust rules: what the plan of a training can name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from secureflow.domain.specs.strategylist import StrategyEntry
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.languages import Spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Key
from secureflow.texts import Language, told

router = router_of("jobs", prefix=f"{PREFIX}/strategies")


def _told(one: StrategyEntry, language: Language) -> StrategyEntry:
    return replace(one, sentence=told(one.sentence, language))


@router.get("", summary="List strategies and robust rules")
async def list_strategies(use: Use, caller: Caller, language: Spoken) -> Sequence[StrategyEntry]:
    """Return each with its paper, its parameters, and the protections under which it can run."""
    return [_told(one, language) for one in use.strategies.list(caller)]


@router.get("/{key}", summary="Get a strategy or a robust rule")
async def get_strategy(key: Key, use: Use, caller: Caller, language: Spoken) -> StrategyEntry:
    """Return one by its name."""
    return _told(use.strategies.get(caller, key), language)
