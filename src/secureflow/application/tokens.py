"""Bearer tokens.

A token is `sft_<id>_<secret>`: the id finds the row, the 256-bit secret is stored as SHA-256 only
and compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import Final

from secureflow.application.access import Principal, missing
from secureflow.application.endings import record_ended
from secureflow.application.idempotency import conflict, request_of
from secureflow.application.listing import list_readable
from secureflow.application.logins import Logins, bad_credentials, is_active, lets_in_as_before
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.users import Token, User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

LOGIN_SECONDS: Final = 12 * 3600
MAX_SECONDS: Final = 90 * 86_400

AGAIN: Final = "Log in again: secureflow login URL --ca FILE."

_SHAPE: Final = re.compile(r"sft_([0-9a-z]{20})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Issued:
    """A fresh token: `text` is shown once and not stored."""

    text: str = field(repr=False)
    token: Token
    user: User


class Tokens:
    """Logs people in and recognises them.

    Args:
        begin: starts units of work.
        transactions: those whose changes are recorded.
        logins: check names and passwords.
        clock: dates tokens.
        most: tokens of one user at a time; a further one removes the oldest.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        logins: Logins,
        clock: Clock,
        most: int,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._logins = logins
        self._clock = clock
        self._most = most

    async def login(self, name: str, password: str, address: str, code: str = "") -> Issued:
        """Return a token for a name and password (and a code, where the account needs one).

        Raises:
            SecureFlowError: as `Logins.check`.
        """
        user = await self._logins.check(name, password, address, code)
        return await self._issue(user, LOGIN_SECONDS, "login", method="password")

    async def authenticate(self, text: str) -> Principal:
        """Return the principal of a bearer token.

        Raises:
            SecureFlowError: `unauthenticated` without saying which part is wrong.
        """
        parts = _parts(text)
        async with self._begin() as work:
            token = await _named(work, *parts)
            user = await work.users.find(token.user) if token else None
            active = user is not None and await is_active(work, user)
        if token is None or user is None or not active:
            raise _unauthenticated()
        if self._clock() >= token.expires:
            raise SecureFlowError("token_expired", "The token has expired.", AGAIN)
        return Principal(user.id, user.name, user.organisation, frozenset(user.roles), token.id)

    async def holds(self, principal: Principal) -> bool:
        """Tell whether the caller's token is still valid."""
        async with self._begin() as work:
            token = await work.tokens.find(principal.token)
            user = await work.users.find(principal.user)
            active = user is not None and await is_active(work, user)
        return active and token is not None and self._clock() < token.expires

    async def logout(self, text: str) -> None:
        """Revoke this token; an invalid one is not an error (RFC 7009, 2.2).

        Raises:
            SecureFlowError: `unauthenticated` for a malformed token.
        """
        parts = _parts(text)
        async with self._begin() as work:
            token = await _named(work, *parts)
        if token is not None:
            await self._end(token, "logout")

    async def create(self, principal: Principal, label: str, seconds: int, key: str = "") -> Issued:
        """Return another token of the caller, valid for `seconds` (at most 90 days).

        It replaces one that was made under the same `key`, whose text was lost.

        Raises:
            SecureFlowError: `idempotency_conflict`.
        """
        async with self._begin() as work:
            user = await work.users.get(principal.user)
        request = request_of(principal.user, key)
        return await self._issue(user, min(seconds, MAX_SECONDS), label, request)

    async def list(self, principal: Principal) -> list[Token]:
        """Return the caller's own tokens, digests left out."""
        async with self._begin() as work:
            mine = await list_readable(work.tokens, user=principal.user, unexpired=self._clock())
        return [replace(token, digest="") for token in mine]

    async def revoke(self, principal: Principal, key: str) -> None:
        """Revoke one of the caller's tokens (`not_found` for anyone else's)."""
        async with self._begin() as work:
            token = await work.tokens.find(key)
            if token is None or token.user != principal.user:
                raise missing("token", key)
        await self._end(token, "revoked")

    async def _end(self, token: Token, why: str) -> None:
        async with self._transactions(held=True, numbered=False) as transaction:
            await transaction.work.tokens.remove(token.id)
            owner = await transaction.work.users.find(token.user)
            if owner is not None:
                record_ended(transaction, owner, by=owner.id, why=why, tokens=[token.id])
            transaction.answer(None)

    async def _issue(
        self, user: User, seconds: int, label: str, request: str = "", method: str = ""
    ) -> Issued:
        """Store a token and return it; `method` says how its user just logged in, if they did."""
        now = self._clock()
        secret = secrets.token_urlsafe(32)
        token = Token(new_id("tok"), user.id, _digest(secret), now, now + seconds, label, request)
        async with self._transactions(held=True, numbered=False) as transaction:
            work = transaction.work
            await work.lock(f"tokens/{user.id}")
            living = await list_readable(work.tokens, user=user.id, unexpired=now)
            for lost in [one for one in living if request and one.request == request]:
                if (lost.label, lost.expires - lost.created) != (label, seconds):
                    raise conflict()
                await work.tokens.remove(lost.id)
                living.remove(lost)
            living.sort(key=lambda token: (token.created, token.id))
            for old in living[: max(0, len(living) + 1 - self._most)]:
                await work.tokens.remove(old.id)
            await work.tokens.add(token)
            if not await lets_in_as_before(work, user):
                raise bad_credentials()
            about = {"user": user.id, "organisation": user.organisation, "token": token.id}
            if method:
                transaction.record("login.accepted", {**about, "method": method})
            else:
                transaction.record("token.created", {**about, "expires": token.expires})
        return Issued(f"sft_{token.id.removeprefix('tok_')}_{secret}", token, user)


def _parts(text: str) -> tuple[str, str]:
    """Parse a bearer token into name and secret, before the database is queried.

    Raises:
        SecureFlowError: `unauthenticated`.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise _unauthenticated()
    return match[1], match[2]


async def _named(work: UnitOfWork, name: str, secret: str) -> Token | None:
    """Return the token of this name; None if there is none, or the secret differs."""
    token = await work.tokens.find(f"tok_{name}")
    digest = token.digest if token else "0" * 64
    return token if hmac.compare_digest(_digest(secret), digest) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unauthenticated() -> SecureFlowError:
    return SecureFlowError(
        "unauthenticated",
        "The request carries no valid token.",
        "Log in: secureflow login URL --ca FILE. Programs: POST /api/v1/login, then "
        "`Authorization: Bearer sft_…`.",
    )
