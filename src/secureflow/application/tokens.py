"""Bearer tokens: of logins, and personal ones with scopes, expiry and last use.

A token is `sft_<id>_<secret>`: the id finds the row, the 256-bit secret is stored as SHA-256 only
and compared in constant time. A token makes no token with more scopes than it has.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from secureflow.application.access import Principal, missing, require, require_own
from secureflow.application.accounts import acts_as, is_active
from secureflow.application.endings import access_of, end_family, has_access, record_ended
from secureflow.application.idempotency import conflict, request_of
from secureflow.application.lastuse import LastUses
from secureflow.application.listing import list_readable
from secureflow.application.loginplaces import Places
from secureflow.application.logins import Logins, bad_credentials, lets_in_as_before
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import NARROW, require_proof
from secureflow.application.scopes import Allowed, narrowed, unrestricted
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.users import Scope, Token, User
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
    refresh: str = field(default="", repr=False)
    """The refresh token, of a login that has one."""
    refresh_expires: int = 0


class Tokens:
    """Logs people in and recognises them.

    Args:
        begin: starts units of work.
        transactions: those whose changes are recorded.
        logins: check names and passwords.
        clock: dates tokens.
        most: tokens of one user at a time; a further one removes the oldest.
        places: knows from where people log in.
        allowed: what is left of a token's scopes.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        logins: Logins,
        clock: Clock,
        most: int,
        places: Places,
        allowed: Allowed = unrestricted,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self.uses = LastUses(begin, clock)
        self._logins = logins
        self._clock = clock
        self._most = most
        self._places = places
        self._allowed = allowed

    async def login(
        self, name: str, password: str, address: str, code: str = "", client: str = ""
    ) -> Issued:
        """Return a token for a name and password (and a code, where the account needs one).

        `client` is the kind of program.

        Raises:
            SecureFlowError: as `Logins.check`.
        """
        user = await self._logins.check(name, password, address, code)
        fresh = proven(fresh_token(user, self._clock(), LOGIN_SECONDS, "login"))
        await self._issue(fresh, "login.accepted", {"method": "password"}, place=(address, client))
        return fresh

    async def authenticate(self, text: str) -> Principal:
        """Return the principal of a bearer token.

        Raises:
            SecureFlowError: `unauthenticated` without saying which part is wrong.
        """
        parts = _parts(text)
        async with self._begin() as work:
            token = await _named(work, *parts)
            user = await work.users.find(token.user) if token else None
            if token is None or user is None or not await is_active(work, user):
                raise unauthenticated()
            scopes = await self._allowed(work, user, token.scope)
        if self._clock() >= token.expires:
            raise SecureFlowError("token_expired", "The token has expired.", AGAIN)
        self.uses.note(token)
        roles = frozenset(user.roles)
        return Principal(user.id, user.name, user.organisation, roles, token.id, scopes=scopes)

    async def holds(self, principal: Principal) -> bool:
        """Tell whether the caller's token is still valid, and the roles are the same."""
        async with self._begin() as work:
            token = await work.tokens.find(principal.token)
            acts = await acts_as(work, principal)
        return acts and token is not None and self._clock() < token.expires

    async def logout(self, text: str) -> None:
        """Revoke this token; an invalid one is not an error (RFC 7009, 2.2).

        Raises:
            SecureFlowError: `unauthenticated` for a malformed token.
        """
        parts = _parts(text)
        async with self._begin() as work:
            token = await _named(work, *parts)
        if token is not None:
            await self._end(token, token.user, "logout")

    async def create(
        self,
        principal: Principal,
        label: str,
        seconds: int,
        key: str = "",
        scopes: Sequence[Scope] = (Scope.ALL,),
    ) -> Issued:
        """Return another token of the caller, valid for `seconds` (at most 90 days).

        It replaces one that was made under the same `key`, whose text was lost.

        Raises:
            SecureFlowError: `idempotency_conflict`; `scope_too_narrow` if the caller's token makes
                none, or none with these scopes; `proof_required` for more than reading and jobs.
        """
        require_own(principal, "token.create")
        chosen = narrowed(principal.scopes, scopes)
        async with self._begin() as work:
            user = await work.users.get(principal.user)
        request = request_of(principal.user, key)
        fresh = fresh_token(user, self._clock(), min(seconds, MAX_SECONDS), label, chosen, request)
        about = {"scopes": [scope.value for scope in chosen], "expires": fresh.token.expires}
        await self._issue(fresh, "token.created", about, principal)
        return fresh

    async def list(self, principal: Principal) -> Sequence[Token]:
        """Return the caller's own tokens, digests left out."""
        require_own(principal, "token.read")
        return await self._living(principal.user)

    async def revoke(self, principal: Principal, key: str) -> None:
        """Revoke one of the caller's tokens (`not_found` for anyone else's)."""
        require_own(principal, "token.revoke")
        await self._revoke(principal, principal.user, key)

    async def list_of(self, principal: Principal, user: str) -> Sequence[Token]:
        """Return the tokens of a person of the caller's organisation (any, for the operator)."""
        require(principal, "user.tokens")
        await self._check_theirs(principal, user)
        return await self._living(user)

    async def revoke_of(self, principal: Principal, user: str, key: str) -> None:
        """Revoke a token of a person of the caller's organisation (anybody's, for the operator).

        Raises:
            SecureFlowError: `forbidden`, `not_found`.
        """
        require(principal, "user.tokens")
        await self._check_theirs(principal, user)
        await self._revoke(principal, user, key)

    async def _check_theirs(self, principal: Principal, key: str) -> None:
        async with self._begin() as work:
            user = await work.users.find(key)
        if user is None or not (principal.operator or principal.acts_for(user.organisation)):
            raise missing("user", key)

    async def _living(self, user: str) -> Sequence[Token]:
        async with self._begin() as work:
            found = await list_readable(work.tokens, user=user, unexpired=self._clock())
        return [replace(token, digest="", used=self.uses.of(token)) for token in found]

    async def _revoke(self, principal: Principal, user: str, key: str) -> None:
        async with self._begin() as work:
            token = await work.tokens.find(key)
            if token is None or token.user != user:
                raise missing("token", key)
        await self._end(token, principal.user, "revoked")

    async def _end(self, token: Token, by: str, why: str) -> None:
        async with self._transactions(held=True, numbered=False) as transaction:
            gone = {token.id, *await end_family(transaction.work, token.user, token.family)}
            await transaction.work.tokens.remove(token.id)
            owner = await transaction.work.users.find(token.user)
            if owner is not None:
                record_ended(transaction, owner, by=by, why=why, tokens=sorted(gone))
            transaction.answer(None)

    async def _check_maker(self, work: UnitOfWork, by: Principal | None, token: Token) -> None:
        """Refuse a maker whose own access has ended, or who proves too little for this token."""
        access = access_of(by) if by else ""
        if by is None or not access:
            return
        if not await has_access(work, by.user, access):
            raise unauthenticated()
        if not token.scope <= NARROW:
            await require_proof(work, by, self._clock())

    async def _issue(
        self,
        fresh: Issued,
        kind: str,
        about: Mapping[str, object],
        by: Principal | None = None,
        place: tuple[str, str] = ("", ""),
    ) -> None:
        """Store a token, and record it as this kind of entry.

        It is refused if the token or session that makes it (of `by`) was ended meanwhile: whoever
        sends a request slowly must not keep what its owner takes away.
        """
        async with self._transactions(held=True, numbered=False) as transaction:
            work, user, token = transaction.work, fresh.user, fresh.token
            await work.lock(f"tokens/{user.id}")
            await self._check_maker(work, by, token)
            living = await list_readable(work.tokens, user=user.id, unexpired=token.created)
            for lost in [one for one in living if token.request and one.request == token.request]:
                if _wish(lost) != _wish(token):
                    raise conflict()
                await work.tokens.remove(lost.id)
                living.remove(lost)
            # Those of a login that is continued by refresh tokens are counted there.
            counted = sorted((one.created, one.id) for one in living if not one.family)
            for _, old in counted[: max(0, len(counted) + 1 - self._most)]:
                await work.tokens.remove(old)
            await work.tokens.add(token)
            if not await lets_in_as_before(work, user):
                raise bad_credentials()
            whose: dict[str, object] = {"user": user.id, "organisation": user.organisation}
            whose["token"] = token.id
            if await self._places.note(work, user.id, *place):
                whose["new_place"] = True
            transaction.record(kind, {**whose, **about})


def proven(fresh: Issued) -> Issued:
    """Return a token of somebody who has proven just now who they are."""
    return replace(fresh, token=replace(fresh.token, proven=fresh.token.created))


def fresh_token(
    user: User,
    now: int,
    seconds: int,
    label: str,
    scopes: Sequence[Scope] = (Scope.ALL,),
    request: str = "",
    family: str = "",
) -> Issued:
    """Return a token that is not stored yet."""
    secret = secrets.token_urlsafe(32)
    times = now, now + seconds
    token = Token(
        *(new_id("tok"), user.id, _digest(secret), *times, label, request, tuple(scopes)),
        family=family,
    )
    return Issued(f"sft_{token.id.removeprefix('tok_')}_{secret}", token, user)


def _wish(token: Token) -> tuple[str, int, frozenset[Scope]]:
    """Return what somebody wanted who asked for a token."""
    return token.label, token.expires - token.created, token.scope


def _parts(text: str) -> tuple[str, str]:
    """Parse a bearer token into name and secret, before the database is queried.

    Raises:
        SecureFlowError: `unauthenticated`.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise unauthenticated()
    return match[1], match[2]


async def _named(work: UnitOfWork, name: str, secret: str) -> Token | None:
    """Return the token of this name; None if there is none, or the secret differs."""
    token = await work.tokens.find(f"tok_{name}")
    digest = token.digest if token else "0" * 64
    return token if hmac.compare_digest(_digest(secret), digest) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def unauthenticated() -> SecureFlowError:
    """Return the error for a token that does not count."""
    return SecureFlowError(
        "unauthenticated",
        "The request carries no valid token.",
        "Log in: secureflow login URL --ca FILE. Programs: POST /api/v1/login, then "
        "`Authorization: Bearer sft_…`.",
    )
