"""Search of the ledger for people, newest first, and its export.

Whoever may not see an entry is not told that it matches: unlike in `Audit.entries`, which has the
hash of every entry, only what the caller may see is listed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.access import Principal, require, visible_job
from secureflow.application.audit import Sight, shown
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory

MOST_LOOKED_AT: Final = 2000
"""Entries that one page looks at; a page of which the caller sees few may be short."""
_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Criteria:
    """What is searched for; "" and 0 do not matter.

    Args:
        kind: exact, or what it begins with if it ends with a full stop (`job.`).
        author: an organisation, `server` or `enclave`.
        job: a job's id.
        since, until: unix seconds by the author's clock, the latter exclusive.
    """

    kind: str = ""
    author: str = ""
    job: str = ""
    since: int = 0
    until: int = 0


class AuditSearch:
    """Use cases of searching the ledger."""

    def __init__(self, begin: UnitOfWorkFactory, ledger: Ledger) -> None:
        self._begin = begin
        self._ledger = ledger

    async def check(self, principal: Principal, criteria: Criteria) -> None:
        """Refuse a search that the caller may not do, before its answer begins.

        Raises:
            SecureFlowError: `scope_too_narrow`; `not_found` for a job.
        """
        require(principal, "audit.read")
        if criteria.job:
            async with self._begin() as work:
                await visible_job(work, principal, criteria.job)

    async def page(
        self, principal: Principal, criteria: Criteria, *, before: int = 0, limit: int = 50
    ) -> tuple[list[dict[str, Any]], int]:
        """Return entries, newest first, and before which number the next page begins (0: none).

        Raises:
            SecureFlowError: `not_found` for a job.
        """
        await self.check(principal, criteria)
        found: list[dict[str, Any]] = []
        looked = 0
        async for index, entry in self._seen(principal, criteria, before):
            looked += 1
            if entry is not None:
                found.append(entry)
            if len(found) == limit or looked == MOST_LOOKED_AT:
                return found, index
        return found, 0

    async def every(
        self, principal: Principal, criteria: Criteria, most: int
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the newest `most` entries that the caller sees, newest first."""
        left = most
        async for _, entry in self._seen(principal, criteria, 0):
            if entry is None:
                continue
            yield entry
            left -= 1
            if not left:
                return

    async def _seen(
        self, principal: Principal, criteria: Criteria, before: int
    ) -> AsyncIterator[tuple[int, dict[str, Any] | None]]:
        """Yield each entry that matches: its number, and itself if the caller sees it."""
        async with self._begin() as work:
            sight = await Sight.of(work, principal)
        while True:
            entries = await self._ledger.search(**vars(criteria), before=before, limit=_AT_ONCE)
            async with self._begin() as work:
                rows = [
                    (one.index, shown(one, True) if await sight.sees(work, one) else None)
                    for one in entries
                ]
            for row in rows:
                yield row
            before = entries[-1].index if entries else 0
            if len(entries) < _AT_ONCE or not before:
                return
