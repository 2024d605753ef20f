"""What a submitter asked before, as far as this agent's record knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import limit, plain, ratio, second, text_of
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.kit.reading import members, objects


@dataclass(frozen=True)
class EarlierJob:
    """A job that was asked for under the same name."""

    job: str
    name: str
    kind: str
    purpose: str
    dataset: str
    epsilon: float | None
    state: str
    outcome: str
    reason: Spoken
    at: int


@dataclass(frozen=True)
class Earlier:
    """What was asked under a name.

    Args:
        jobs: how many.
        states: how many of them in each state.
        outcomes: how those that were approved ended.
        newest: the newest of them.
    """

    jobs: int
    states: dict[str, int]
    outcomes: dict[str, int]
    newest: tuple[EarlierJob, ...]


def earlier(value: Any) -> Earlier:
    """Read `before` of a document."""
    found = members(value)
    return Earlier(
        int(ratio(found.get("jobs"))),
        _counts(found.get("states")),
        _counts(found.get("outcomes")),
        tuple(_job(one) for one in objects(found.get("newest"))),
    )


def _job(one: Mapping[str, Any]) -> EarlierJob:
    return EarlierJob(
        job=text_of(one, "job"),
        name=text_of(one, "name"),
        kind=text_of(one, "kind"),
        purpose=text_of(one, "purpose"),
        dataset=text_of(one, "dataset"),
        epsilon=limit(one.get("epsilon")),
        state=text_of(one, "state"),
        outcome=text_of(one, "outcome"),
        reason=plain(one.get("reason")),
        at=second(one.get("at")),
    )


def _counts(value: Any) -> dict[str, int]:
    return {plain(name): int(ratio(count)) for name, count in members(value).items()}
