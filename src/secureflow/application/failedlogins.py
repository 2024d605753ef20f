"""Failed logins as ledger entries that nobody can flood.

Anybody on the network can fail to log in, as often as they like. So failures are counted in memory,
per account, and at most once a minute each account's count becomes one entry; names that do not
exist are counted together, and are never stored: a password may have been typed as the name. At
most `MOST` accounts are counted apart, the rest together with the unknown names.

A right password without the code of the second factor is how a login begins, and the best sign of a
stolen password if it stays at that. It counts as a failure unless the same account logs in from the
same address within `UNFINISHED` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Final

from secureflow.application.transactions import Transactions
from secureflow.domain.users import User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

MOST: Final = 1000
"""Accounts whose failures are counted apart between two writes."""
INTERVAL: Final = 60.0
"""Seconds between two writes."""
UNFINISHED: Final = 120
"""Seconds in which a login whose password was right gets its code."""
GRACE: Final = 2.0
"""Seconds that the last write may take when the server stops."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class _Count:
    organisation: str
    since: int
    count: int = 0
    coded: int = 0
    """How many of them had the right password, and no code."""


@dataclass(frozen=True)
class _Begun:
    user: User
    at: int


class FailedLogins:
    """Counts failed logins, and records the counts.

    Args:
        transactions: record them.
        clock: dates the first failure of a count.
    """

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._begun: dict[tuple[str, str], _Begun] = {}

    def begin(self, user: User, address: str) -> None:
        """Note a right password without the code that the account needs."""
        place = user.id, address
        if place in self._begun:
            self.count(user, coded=True)
        elif len(self._begun) < MOST:
            self._begun[place] = _Begun(user, self._clock())
        else:
            self.count(user, coded=True)

    def finish(self, user: User, address: str) -> None:
        """Note that an account has logged in from an address: what began there was its owner."""
        self._begun.pop((user.id, address), None)

    def count(self, user: User | None, *, coded: bool = False) -> None:
        """Count one failure of an account; None stands for a name that does not exist.

        Args:
            user: the account.
            coded: whether the password was right, and the code of the second factor missing.
        """
        apart = user is not None and (user.id in self._counts or len(self._counts) < MOST)
        key, organisation = (user.id, user.organisation) if user and apart else ("", "")
        known = self._counts.get(key) or _Count(organisation, self._clock())
        self._counts[key] = replace(known, count=known.count + 1, coded=known.coded + coded)

    async def flush(self) -> None:
        """Record what was counted; if that fails, it is kept for the next time."""
        for place, begun in list(self._begun.items()):
            if not 0 <= self._clock() - begun.at < UNFINISHED:
                del self._begun[place]
                self.count(begun.user, coded=True)
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            async with self._transactions(held=True, numbered=False) as transaction:
                for user, one in counts.items():
                    facts = {"since": one.since, "count": one.count}
                    facts |= {"without_code": one.coded} if one.coded else {}
                    about = {"user": user, "organisation": one.organisation}
                    transaction.record("login.refused", {**about, **facts})
        except SecureFlowError as error:  # a full disk, or a database that is away
            _log.warning("failed_logins_not_recorded", code=error.code)
            self._keep(counts)

    async def keep_flushed(self, interval: float = INTERVAL) -> None:
        """Record what was counted every `interval` seconds, and once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(interval)
                await self._flush_on()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await self._flush_on()

    async def _flush_on(self) -> None:
        try:
            await self.flush()
        except Exception:  # noqa: BLE001  the edge of a task: an unavailable database comes back
            _log.exception("failed_logins_not_recorded")

    def _keep(self, counts: dict[str, _Count]) -> None:
        for user, one in counts.items():
            fresh = self._counts.get(user)
            count = one.count + (fresh.count if fresh else 0)
            coded = one.coded + (fresh.coded if fresh else 0)
            self._counts[user] = replace(one, count=count, coded=coded)
