"""Every address of the owner's page: one table, to which each module of `views` adds its own."""

from __future__ import annotations

from typing import Final

from secureflow.agent.console.views import (
    absence,
    account,
    activity,
    budgets,
    datasets,
    decision,
    grantmaking,
    grants,
    inbox,
    login,
    oidc,
    overview,
    people,
)
from secureflow.agent.console.visits import Page

PAGES: Final[tuple[Page, ...]] = (
    *login.PAGES,
    *oidc.PAGES,
    *overview.PAGES,
    *inbox.PAGES,
    *decision.PAGES,
    *datasets.PAGES,
    *grantmaking.PAGES,
    *grants.PAGES,
    *budgets.PAGES,
    *activity.PAGES,
    *people.PAGES,
    *account.PAGES,
    *absence.PAGES,
)
"""The pages; `navigation` in templates/base.jinja names those that the header leads to."""
