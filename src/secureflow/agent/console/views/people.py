"""The accounts of this organisation's people at its agent."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from secureflow.agent.console.asking import HASHING
from secureflow.agent.console.screens.people import PersonRow, people_rows
from secureflow.agent.console.views.permitted import holders
from secureflow.agent.console.visits import Page, Visit, see
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.texts import error_in

ROLES: Final = ("viewer", "decider", "owner-admin")
_SHOWN: Final = frozenset({"weak_password", "already_exists", "last_administrator"})
"""Refusals that are shown above the form, to try again."""


async def show(visit: Visit) -> Response:
    """List the accounts."""
    return await _list(visit)


async def add(visit: Visit) -> Response:
    """Make an account; its person must change the password before deciding."""
    fields = await visit.fields()
    name = fields.get("name", "").strip()
    try:
        await visit.ask(
            "people.add", HASHING,
            name=name, password=fields.get("password", ""), roles=_roles(fields),
        )  # fmt: skip
    except SecureFlowError as error:
        if error.code not in {*_SHOWN, "invalid_request"}:
            raise
        return await _list(visit, error, name)
    return see(f"/people/{name}")


async def show_one(visit: Visit) -> Response:
    """Show an account, and what may be done with it."""
    return await _account(visit)


async def change(visit: Visit) -> Response:
    """Give roles, disable or enable, or reset: the form names what."""
    fields = await visit.fields()
    name, what = _name(visit), fields.get("do", "")
    try:
        if what == "roles":
            await visit.ask("people.roles", name=name, roles=_roles(fields))
        elif what in ("disable", "enable"):
            await visit.ask("people.disable", name=name, disabled=what == "disable")
        elif what == "reset":
            await visit.ask(
                "people.reset", HASHING, name=name, password=fields.get("password", ""),
                second_factor=fields.get("second_factor") == "yes",
            )  # fmt: skip
        else:
            raise SecureFlowError("invalid_request", "The form does not say what is to be done.")
    except SecureFlowError as error:
        if error.code not in _SHOWN:
            raise
        return await _account(visit, error)
    return see(f"/people/{name}")


async def _list(visit: Visit, error: SecureFlowError | None = None, name: str = "") -> Response:
    return visit.page(
        "people",
        200 if error is None else status_of(error.code),
        rows=people_rows(await visit.ask("people.list")),
        roles=ROLES,
        name=name,
        error=error and error_in(error.as_json(), visit.language),
        who=await holders(visit, "owner-admin"),
    )


async def _account(visit: Visit, error: SecureFlowError | None = None) -> Response:
    row = _found(people_rows(await visit.ask("people.list")), _name(visit))
    return visit.page(
        "person",
        200 if error is None else status_of(error.code),
        row=row,
        own=row.id == visit.person.get("id"),
        roles=ROLES,
        error=error and error_in(error.as_json(), visit.language),
        who=await holders(visit, "owner-admin"),
    )


def _roles(fields: dict[str, str]) -> list[str]:
    return [one for one in ROLES if f"role.{one}" in fields]


def _name(visit: Visit) -> str:
    return str(visit.request.path_params["name"])


def _found(rows: tuple[PersonRow, ...], name: str) -> PersonRow:
    for one in rows:
        if one.name == name:
            return one
    raise SecureFlowError(
        "person_unknown",
        Text("This agent has no account {name!r:.80}.", name=name),
        "The page of people lists the accounts.",
    )


PAGES: Final = (
    Page("/people", show, add, title="People"),
    Page("/people/{name}", show_one, change),
)
