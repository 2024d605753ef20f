"""Accounts as the owner's page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import ratio, second, text_of, texts
from secureflow.kit.reading import objects


@dataclass(frozen=True)
class Delegation:
    """Who may decide in whose place, until when."""

    name: str
    until: int


@dataclass(frozen=True)
class PersonRow:
    """An account.

    Args:
        id: its pseudonym, which approvals and the ledger name.
        name: of the person.
        roles: see docs/people.md.
        state: `in use`, `disabled` or `password not yet chosen`.
        second_factor: whether one is confirmed.
        absent: until when the person is away; 0.
        decides_for: in whose places the person decides.
        sessions: how many are open.
        at: when it was made.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    state: str
    second_factor: bool
    absent: int
    decides_for: tuple[Delegation, ...]
    sessions: int
    at: int


def person_row(one: Mapping[str, Any]) -> PersonRow:
    """Read one account of `people.list` or `people.me`."""
    return PersonRow(
        id=text_of(one, "id"),
        name=text_of(one, "name"),
        roles=texts(one.get("roles")),
        state=_state(one),
        second_factor=one.get("second_factor") is True,
        absent=second(one.get("absent_until")),
        decides_for=tuple(
            Delegation(text_of(each, "name"), second(each.get("until")))
            for each in objects(one.get("decides_for"))
        ),
        sessions=int(ratio(one.get("sessions"))),
        at=second(one.get("at")),
    )


def people_rows(value: Any) -> tuple[PersonRow, ...]:
    """Read `people.list`: those in use first."""
    rows = [person_row(one) for one in objects(value)]
    return tuple(sorted(rows, key=lambda one: (one.state == "disabled", one.name)))


def given_by(name: str, rows: tuple[PersonRow, ...]) -> tuple[Delegation, ...]:
    """Return who decides in a person's place, until when."""
    return tuple(
        Delegation(one.name, each.until)
        for one in rows
        for each in one.decides_for
        if each.name == name
    )


def _state(one: Mapping[str, Any]) -> str:
    if one.get("disabled"):
        return "disabled"
    return "password not yet chosen" if one.get("initial_password") else "in use"
