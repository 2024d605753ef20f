"""What ends soon: grants and tokens whose end is near are told of once, some days before."""

from __future__ import annotations

from typing import Final

from secureflow.application.listing import list_readable
from secureflow.application.notifying import Notifying
from secureflow.application.occurrences import Audience, Occurrence, expiring_grant, members_of
from secureflow.application.ports.storage import UnitOfWork
from secureflow.kit.clock import Clock

DAY: Final = 86_400
GRANT_DAYS: Final = 7
TOKEN_DAYS: Final = 3
LASTING: Final = 7 * DAY
"""Tokens that live shorter end when they are meant to: logins, and those of a single task."""
INTERVAL: Final = 3600


class Expiring:
    """Looks once an hour for what ends soon.

    Args:
        notifying: tells people.
        clock: unix seconds.
    """

    def __init__(self, notifying: Notifying, clock: Clock) -> None:
        self._notifying = notifying
        self._clock = clock
        self._next = 0

    async def poll(self) -> None:
        """Tell of grants and tokens that end soon, if an hour has passed since the last time."""
        now = self._clock()
        if now < self._next:
            return
        await self._notifying.tell(self._soon)
        self._next = now + INTERVAL

    async def _soon(self, work: UnitOfWork) -> list[Occurrence]:
        now = self._clock()
        found: list[Occurrence] = []
        for grant in await list_readable(
            work.grants, state="granted", unexpired=now, expired=now + GRANT_DAYS * DAY
        ):
            if grant.expires - grant.created > GRANT_DAYS * DAY:
                members = await members_of(work, grant.project)
                found.append(expiring_grant(grant, members, now, _days(grant.expires - now)))
        for token in await list_readable(
            work.tokens, unexpired=now, expired=now + TOKEN_DAYS * DAY
        ):
            if token.expires - token.created >= LASTING:
                facts = {"token": token.id, "days": _days(token.expires - now)}
                whom = Audience(users=(token.user,))
                event = f"token_expiring/{token.id}"
                found.append(Occurrence(event, "token_expiring", now, facts, whom))
        return found


def _days(seconds: int) -> int:
    return -(-seconds // DAY)
