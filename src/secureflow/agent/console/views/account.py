"""The own account: password, second factor."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from secureflow.agent.console.visits import Page, Visit


async def show(visit: Visit) -> Response:
    """Show the account."""
    return visit.page("account")


PAGES: Final = (Page("/account", show),)
