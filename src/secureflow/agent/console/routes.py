"""Every address of the owner's page: one table, to which each module of `views` adds its own."""

from __future__ import annotations

from typing import Final

from secureflow.agent.console.views import account, decision, inbox, login, oidc
from secureflow.agent.console.visits import Page

PAGES: Final[tuple[Page, ...]] = (
    *login.PAGES,
    *oidc.PAGES,
    *inbox.PAGES,
    *decision.PAGES,
    *account.PAGES,
)
"""The pages; `navigation` in templates/base.jinja names those that the header leads to."""
