"""Grants at the owner's agent for tests that come in any order: made where none is in force."""

from __future__ import annotations

from typing import Any

from tests.browser.place import OWNER, Place, until


def grants(place: Place, state: str) -> list[dict[str, Any]]:
    """Return the grants of a state under which any number of jobs runs."""
    listed = place.ask("grant.list")
    return [one for one in listed if one["state"] == state and not one["terms"]["uses"]]


def proposed(place: Place) -> dict[str, Any]:
    """Return what the centre proposes; have it propose where nothing is left to confirm."""
    if not grants(place, "proposed"):
        with place.platform.client(OWNER) as client:
            client.datasets.grant(
                place.platform.parties[OWNER].dataset_id, place.platform.project
            )  # fmt: skip
    return dict(until(lambda: grants(place, "proposed"))[-1])


def own_grant(place: Place, session: str) -> dict[str, Any]:
    """Return a grant in force; confirm one where nobody has."""
    if not grants(place, "granted"):
        told = proposed(place)
        place.ask("grant.confirm", session, proposal=told["id"], terms=told["terms"])
    return grants(place, "granted")[-1]
