"""A data scientist's request to run a job again and again, at times that the owners approve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT
from secureflow.domain.specs.partforms import MOST_RUNS
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.kit.canonical import JSON

LEAST_SECONDS: Final = 600
"""The least time from a run to the next: owners' agents, and people, keep up with it."""
LONGEST_SECONDS: Final = 366 * 86_400
"""The longest time that the runs of one timetable take: consent is finite."""
DAY: Final = 86_400


@dataclass(frozen=True)
class TimesPart:
    """When runs start; the first one at the request's `not_before`, or as soon as it may.

    Args:
        every: seconds from each run to the next.
        runs: how many there are.
        window: seconds after its time within which a run may begin, else it is left out; by
            default until the next one is due, at most a day.
        stop_on_failure: whether the first run that fails ends the timetable.
        epsilon: upper bound on the cost of all runs, under differential privacy.
    """

    __pydantic_config__ = STRICT
    every: Annotated[int, Field(ge=LEAST_SECONDS, le=LONGEST_SECONDS, examples=[DAY])]
    runs: Annotated[int, Field(ge=1, le=MOST_RUNS, examples=[30])]
    window: Annotated[int, Field(ge=60, le=LONGEST_SECONDS)] | None = None
    stop_on_failure: bool = False
    epsilon: Annotated[float, Field(ge=1e-3, le=1e4)] | None = None


@dataclass(frozen=True)
class TimetableRequest(RequestBase):
    """A job of another kind, and when it runs."""

    __pydantic_config__ = REQUEST
    run: Annotated[
        Mapping[str, JSON],
        Field(
            max_length=64,
            description="The job without what a timetable says itself: its `kind`, and the members "
            "that only this kind has",
            examples=[{"kind": "statistics", "queries": [], "privacy": {"delta": 1e-6}}],
        ),
    ] = field(kw_only=True)
    timetable: Annotated[TimesPart, Field(examples=[{"every": DAY, "runs": 30}])] = field(
        kw_only=True
    )
    kind: Literal["timetable"] = field(default="timetable", kw_only=True)
