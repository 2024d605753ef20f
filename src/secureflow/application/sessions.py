"""Browser sessions, kept at the centre and revocable at any time.

A session is `sfs_<id>_<secret>` in a cookie that scripts cannot read: the id finds the row, the
256-bit secret is stored as SHA-256 only and compared in constant time. Every login makes a new one
and ends the one that the browser brought along: an id that somebody else put into a browser is
never continued (session fixation, CWE-384). A session ends when it was not used for a while, and at
the latest after a fixed time (OWASP ASVS 3.3); the account's disabling and a new password end it
too.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

from pydantic import Field

from secureflow.application.access import Principal, missing, require_own
from secureflow.application.accounts import acts_as, is_active
from secureflow.application.endings import record_ended
from secureflow.application.listing import list_readable
from secureflow.application.loginplaces import Places
from secureflow.application.logins import bad_credentials, lets_in_as_before
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.scopes import EVERYTHING, Allowed, unrestricted
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.sessions import Session
from secureflow.domain.specs.base import STRICT
from secureflow.domain.users import User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

USE_SECONDS: Final = 60
"""The last use of a session is written at most this often."""

_SHAPE: Final = re.compile(r"sfs_([0-9a-z]{20})_([A-Za-z0-9_-]{43})")
_log = get_logger(__name__)


@dataclass(frozen=True)
class SessionLimits:
    """How long browser sessions last, and how many there are.

    Args:
        idle_seconds: without a request, after which a session ends.
        most_seconds: after the login, when it ends in any case.
        most: of one user at a time; a further login ends the one that was not used for longest.
    """

    __pydantic_config__ = STRICT
    idle_seconds: Annotated[int, Field(ge=120, le=86_400)] = 1800
    most_seconds: Annotated[int, Field(ge=300, le=30 * 86_400)] = 12 * 3600
    most: Annotated[int, Field(ge=1, le=1000)] = 20


@dataclass(frozen=True)
class Opened:
    """A fresh session: `text` goes into the cookie and is not stored."""

    text: str = field(repr=False)
    session: Session


class Sessions:
    """Opens, recognises and ends browser sessions.

    Args:
        begin: starts units of work.
        transactions: those whose changes are recorded.
        clock: dates sessions.
        limits: how long they last.
        places: knows from where people log in.
        allowed: what a session is good for.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        clock: Clock,
        limits: SessionLimits,
        places: Places,
        allowed: Allowed = unrestricted,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._limits = limits
        self._places = places
        self._allowed = allowed

    async def open(
        self,
        user: User,
        *,
        method: str,
        address: str,
        brought: str = "",
        proven: int | None = None,
        client: str = "",
    ) -> Opened:
        """Return a new session of a person who has just proven who they are.

        Args:
            user: as read when it was proven: an account that was disabled or got another password
                since then is refused.
            method: how it was proven, for the ledger: `password`, `oidc`, …
            address: the source address.
            brought: the session in the browser's cookie, if any: it ends.
            proven: when it was proven, in unix seconds; now, if not given.
            client: the kind of browser.

        Raises:
            SecureFlowError: `bad_credentials`.
        """
        now, secret = self._clock(), secrets.token_urlsafe(32)
        ends = now + self._limits.most_seconds
        session = Session(
            *(new_id("ses"), user.id, _digest(secret), now, now),
            *(self._expiry(now, ends), ends, method, address),
            proven=now if proven is None else min(proven, now),
        )
        async with self._transactions(held=True, numbered=False) as transaction:
            work = transaction.work
            await work.lock(f"sessions/{user.id}")
            if not await lets_in_as_before(work, user):
                raise bad_credentials()
            old = await _named(work, *parts) if (parts := _parts(brought)) else None
            if old is not None:
                await work.sessions.remove(old.id)
            living = await list_readable(work.sessions, user=user.id, unexpired=now)
            living.sort(key=lambda one: (one.used, one.id))
            for oldest in living[: max(0, len(living) + 1 - self._limits.most)]:
                await work.sessions.remove(oldest.id)
            await work.sessions.add(session)
            about: dict[str, object] = {"user": user.id, "organisation": user.organisation}
            about |= {"method": method, "session": session.id}
            if await self._places.note(work, user.id, address, client):
                about["new_place"] = True
            transaction.record("login.accepted", about)
        return Opened(f"sfs_{session.id.removeprefix('ses_')}_{secret}", session)

    async def authenticate(self, text: str) -> Principal:
        """Return the principal of a session, and note that it was used.

        Raises:
            SecureFlowError: `unauthenticated` without saying which part is wrong;
                `session_expired`.
        """
        now = self._clock()
        async with self._begin() as work:
            parts = _parts(text)
            session = await _named(work, *parts) if parts else None
            user = await work.users.find(session.user) if session else None
            if session is None or user is None or not await is_active(work, user):
                raise unauthenticated()
            if not self._lasts(session, now):
                raise SecureFlowError(
                    "session_expired", "Your session in this browser has ended.", "Log in again."
                )
            scopes = await self._allowed(work, user, EVERYTHING)
            if now - session.used >= USE_SECONDS:
                await self._note_use(work, session, now)
        roles = frozenset(user.roles)
        return Principal(
            user.id, user.name, user.organisation, roles, "", session=session.id, scopes=scopes
        )

    async def holds(self, principal: Principal) -> bool:
        """Tell whether the caller's session still lasts, with the same roles: no use of it."""
        async with self._begin() as work:
            session = await work.sessions.find(principal.session)
            acts = await acts_as(work, principal)
        return acts and session is not None and self._lasts(session, self._clock())

    async def close(self, text: str) -> None:
        """End this session; one that has ended, or never was, is no error."""
        parts = _parts(text)
        if parts is None:
            return
        async with self._begin() as work:
            session = await _named(work, *parts)
        if session is not None:
            await self._end([session], session.user, "logout")

    async def list(self, principal: Principal) -> Sequence[Session]:
        """Return the caller's own sessions that last, digests left out."""
        require_own(principal, "session.read")
        return [replace(one, digest="") for one in await self._living(principal)]

    async def revoke(self, principal: Principal, key: str) -> None:
        """End one of the caller's sessions (`not_found` for anyone else's)."""
        require_own(principal, "session.revoke")
        async with self._begin() as work:
            session = await work.sessions.find(key)
        if session is None or session.user != principal.user:
            raise missing("session", key)
        await self._end([session], principal.user, "revoked")

    async def revoke_others(self, principal: Principal) -> None:
        """End all of the caller's sessions but the one that asks."""
        require_own(principal, "session.revoke")
        others = [one for one in await self._living(principal) if one.id != principal.session]
        await self._end(others, principal.user, "revoked")

    async def _end(self, sessions: Sequence[Session], user: str, why: str) -> None:
        async with self._transactions(held=True, numbered=False) as transaction:
            for session in sessions:
                await transaction.work.sessions.remove(session.id)
            owner = await transaction.work.users.find(user)
            if owner is not None and sessions:
                ids = [one.id for one in sessions]
                record_ended(transaction, owner, by=user, why=why, sessions=ids)
            transaction.answer(None)

    async def _living(self, principal: Principal) -> Sequence[Session]:
        async with self._begin() as work:
            mine = await list_readable(work.sessions, user=principal.user, unexpired=self._clock())
        return [one for one in mine if self._lasts(one, self._clock())]

    def _expiry(self, used: int, ends: int) -> int:
        return min(used + self._limits.idle_seconds, ends)

    def _lasts(self, session: Session, now: int) -> bool:
        """Tell whether a session lasts, also under limits that were lowered since it began."""
        ends = min(session.ends, session.created + self._limits.most_seconds)
        return now < min(session.expires, self._expiry(session.used, ends))

    async def _note_use(self, work: UnitOfWork, session: Session, now: int) -> None:
        """Write the last use. Where that fails the request goes on: it only reads its session."""
        used = replace(session, used=now, expires=self._expiry(now, session.ends))
        try:
            await work.sessions.save(used)
            await work.commit()
        except SecureFlowError as error:  # ended or noted meanwhile, or a full disk
            _log.info("session_use_not_noted", code=error.code)


def _parts(text: str) -> tuple[str, str] | None:
    """Parse a session's text into name and secret, before the database is queried."""
    match = _SHAPE.fullmatch(text)
    return None if match is None else (match[1], match[2])


async def _named(work: UnitOfWork, name: str, secret: str) -> Session | None:
    """Return the session of this name; None if there is none, or the secret differs."""
    session = await work.sessions.find(f"ses_{name}")
    digest = session.digest if session else "0" * 64
    return session if hmac.compare_digest(_digest(secret), digest) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def unauthenticated() -> SecureFlowError:
    """Return the error for a session that does not exist."""
    return SecureFlowError(
        "unauthenticated", "The browser carries no valid session.", "Log in again."
    )
