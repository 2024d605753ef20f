"""Grants: what this organisation allows, what of it is used, and taking it back."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from secureflow.agent.console.screens.grants import grant_row, groups, stopped_under, uses_of
from secureflow.agent.console.views.permitted import holders
from secureflow.agent.console.visits import Page, Visit, see
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects

STOPPING: Final = 30.0
"""Seconds to wait where jobs are stopped: the agent needs less than five."""
_LONGEST: Final = 500


async def show(visit: Visit) -> Response:
    """List grants by state, and what is stopped here whatever they allow."""
    listed, stops = await asyncio.gather(visit.ask("grant.list"), visit.ask("stop.list"))
    return visit.page(
        "grants",
        groups=groups(listed),
        stops=objects(stops),
        who=await holders(visit, "decider"),
    )


async def show_one(visit: Visit) -> Response:
    """Show a grant: its terms, its uses, and what its revocation stopped."""
    grant = _id(visit)
    shown, running, log = await asyncio.gather(
        visit.ask("grant.show", grant=grant),
        visit.ask("data.usage"),
        visit.ask("log", limit=1000, names=["job.stopped"]),
    )
    row = grant_row(members(shown))
    role = "owner-admin" if row.state == "locked" else "decider"
    return visit.page(
        "grant",
        grant=row,
        uses=uses_of(members(shown), running),
        stopped=stopped_under(log, row.id),
        who=await holders(visit, role),
        role=role,
    )


async def ask_revoke(visit: Visit) -> Response:
    """Say which running jobs a revocation stops, and ask for it."""
    grant = _id(visit)
    shown, running = await asyncio.gather(
        visit.ask("grant.show", grant=grant), visit.ask("data.usage", running=True)
    )
    uses = uses_of(members(shown), running)
    return visit.page(
        "grant_revoke",
        grant=grant_row(members(shown)),
        running=[one for one in uses if one.running],
        who=await holders(visit, "decider"),
    )


async def revoke(visit: Visit) -> Response:
    """Take a grant back, and stop its jobs; its page then says what of each stays."""
    fields = await visit.fields()
    grant = _id(visit)
    reason = fields.get("reason", "").strip()[:_LONGEST]
    await visit.ask("grant.revoke", STOPPING, grant=grant, reason=reason)
    return see(f"/grants/{grant}")


async def ask_unlock(visit: Visit) -> Response:
    """Ask what was used of a restored agent's grant since the backup."""
    shown = members(await visit.ask("grant.show", grant=_id(visit)))
    return visit.page(
        "grant_unlock", grant=grant_row(shown), who=await holders(visit, "owner-admin")
    )


async def unlock(visit: Visit) -> Response:
    """Confirm a restored agent's grant again."""
    fields = await visit.fields()
    grant = _id(visit)
    try:
        uses, epsilon = int(fields.get("uses", "")), float(fields.get("epsilon") or 0)
    except ValueError as error:
        raise SecureFlowError("invalid_request", "Uses and ε are numbers of 0 or more.") from error
    await visit.ask("grant.unlock", grant=grant, uses=uses, epsilon=epsilon)
    return see(f"/grants/{grant}")


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["grant"])


PAGES: Final = (
    Page("/grants", show, title="Grants"),
    Page("/grants/{grant}", show_one),
    Page("/grants/{grant}/revoke", ask_revoke, revoke),
    Page("/grants/{grant}/unlock", ask_unlock, unlock),
)
