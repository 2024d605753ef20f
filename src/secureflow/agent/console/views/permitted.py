"""Who may do what the visitor may not: a page hides what the agent would refuse."""

from __future__ import annotations

from secureflow.agent.console.screens.people import people_rows
from secureflow.agent.console.visits import Visit

_HOLD = {"decider": ("decider", "owner-admin"), "owner-admin": ("owner-admin",)}
"""A role → the roles that include it."""


async def holders(visit: Visit, role: str) -> tuple[str, ...]:
    """Return the names of those who hold a role, if the visitor does not; else nothing."""
    if visit.may(role):
        return ()
    rows = people_rows(await visit.ask("people.list"))
    wanted = set(_HOLD[role])
    return tuple(one.name for one in rows if one.state != "disabled" and wanted & set(one.roles))
