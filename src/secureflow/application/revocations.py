"""Revocations by other servers: a party revoked at one is cut off at every server of the database.

A party that dials in is looked up in the record, but an open link stays until its server learns of
the revocation. A mark in the record changes with each such action, so a check reads one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from secureflow.application.listing import list_readable, list_with_damaged
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.ids import new_id
from secureflow.domain.organisations import Agent

MARK: Final = "shut_out"
"""The name of the setting."""


async def mark_changed(work: UnitOfWork) -> None:
    """Change the mark, in the unit of work that disables, revokes or enables someone."""
    await work.set_setting(MARK, new_id("evt"))


async def disabled(work: UnitOfWork) -> Sequence[str]:
    """Return the disabled organisations."""
    return [one.id for one in await list_readable(work.organisations) if one.disabled]


class RevocationWatch:
    """Carries out at this server what was decided at another.

    Args:
        begin: starts units of work.
        expel: cuts the open link of a revoked agent.
        notify_disabled: called with all organisations that are disabled.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        expel: Callable[[Agent], None],
        notify_disabled: Callable[[Sequence[str]], None],
    ) -> None:
        self._begin = begin
        self._expel = expel
        self._notify_disabled = notify_disabled
        self._mark: str | None = None
        self._revoked: set[str] | None = None

    async def poll(self) -> None:
        """Cut off parties revoked since the last check; the first check runs before any links."""
        async with self._begin() as work:
            fresh = await work.setting(MARK)
            if self._revoked is not None and fresh == self._mark:
                return
            out = await disabled(work)
            agents, _ = await list_with_damaged(work.agents)
        gone = {agent.id: agent for agent in agents if agent.revoked is not None}
        self._notify_disabled(out)
        for key in sorted(gone.keys() - (gone.keys() if self._revoked is None else self._revoked)):
            self._expel(gone[key])
        self._mark, self._revoked = fresh, set(gone)
