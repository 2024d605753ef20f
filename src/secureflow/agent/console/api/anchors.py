"""The places at which this agent anchors: how they are, and what is wrong or late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.figures import plain, second, text_of, whole
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.agent.console.screens.troubles import Trouble, trouble_of
from secureflow.kit.reading import members, objects
from secureflow.kit.text import text_in

EXAMINING: Final = 180.0
"""Seconds to wait for the doctor: each of at most eight places has twenty."""


@dataclass(frozen=True)
class AnchorPlace:
    """A place, by this agent's own record.

    Args:
        name: the owner's name for it.
        make: what kind of place it is.
        place: which one, whole.
        waiting: deeds on their way to it.
        late: for how many seconds the oldest waits.
        looked: unix seconds of the last look at it; 0 before the first.
        trouble: what is wrong with it now; None.
    """

    name: str
    make: str
    place: str
    waiting: int
    late: int
    looked: int
    trouble: Trouble | None


@dataclass(frozen=True)
class AnchorPlaces:
    """The places in the settings."""

    places: tuple[AnchorPlace, ...]


@dataclass(frozen=True)
class ExaminedPlace:
    """What a place said when it was asked now.

    Args:
        place: by this agent's record.
        problem: what is wrong; empty.
        hint: the next step; empty.
    """

    place: AnchorPlace
    problem: Spoken
    hint: Spoken


@dataclass(frozen=True)
class ExaminedPlaces:
    """The places, each asked now."""

    places: tuple[ExaminedPlace, ...]


async def places(call: Call) -> AnchorPlaces:
    """Return the places; none is asked."""
    found = members(await call.visit.ask("anchor.list", limit=1))
    return AnchorPlaces(tuple(_place(one) for one in objects(found.get("places"))))


async def doctor(call: Call) -> ExaminedPlaces:
    """Ask each place how it is."""
    found = objects(await call.visit.ask("anchor.doctor", EXAMINING))
    return ExaminedPlaces(
        tuple(
            ExaminedPlace(_place(one), plain(text_in(one, "problem")), plain(text_in(one, "hint")))
            for one in found
        )
    )


def _place(told: Mapping[str, Any]) -> AnchorPlace:
    return AnchorPlace(
        name=text_of(told, "name"),
        make=text_of(told, "make"),
        place=text_of(told, "place"),
        waiting=whole(told.get("waiting")),
        late=second(told.get("late")),
        looked=second(told.get("looked")),
        trouble=trouble_of(told.get("trouble")),
    )


OPERATIONS: Final = (
    Operation(
        "anchors", "GET", "/anchors", places, AnchorPlaces,
        about="The places at which this agent anchors, by its own record.",
    ),
    Operation(
        "examineAnchors", "POST", "/anchors/doctor", doctor, ExaminedPlaces,
        about="Ask each place how it is: it dials.",
    ),
)  # fmt: skip
