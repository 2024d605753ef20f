"""Recent proof of identity: what a stolen session or token alone must not be good for.

Whoever takes over a session could make themselves another way in that outlives it, or lock its
owner out. So what adds or removes a way into an account (a second factor, a token that does much,
an identity at a provider, a program's login, the address that mail about it goes to) takes a proof
that is at most five minutes old (OWASP ASVS 2.1, 3.7: re-authentication before sensitive changes).
A login is one; later the password (and a code, where the account needs one) is given again, or
somebody without a password logs in again at their provider. The proof belongs to the session or
token that it was given with, and to no other.

An administrator's session proves the same before it makes a way into somebody else's account. A
personal token proves nothing: it was made, by a proof, for what its scope covers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from secureflow.application.access import Principal, require_own
from secureflow.application.logins import Logins
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.sessions import Session
from secureflow.domain.users import Scope, Token
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

RECENT: Final = 300
"""Seconds that a proof is good for."""
NARROW: Final = frozenset({Scope.READ, Scope.JOBS})
"""The scopes of tokens that need no proof: they change nothing about people, data and projects."""


class Proofs:
    """Takes proofs from people who are logged in.

    Args:
        begin: starts units of work.
        logins: check passwords and codes, and slow down who guesses.
        clock: dates proofs.
    """

    def __init__(self, begin: UnitOfWorkFactory, logins: Logins, clock: Clock) -> None:
        self._begin = begin
        self._logins = logins
        self._clock = clock

    async def give(self, principal: Principal, password: str, address: str, code: str = "") -> int:
        """Take the caller's password again; return until when the proof is good (unix seconds).

        Args:
            principal: the caller.
            password: of their account.
            address: the source address, as counted by limits.
            code: of the second factor, where the account has one.

        Raises:
            SecureFlowError: as `Logins.check`; `proof_required` for an account without a password;
                `scope_too_narrow` for a token that is no login.
        """
        require_own(principal, "proof.give")
        async with self._begin() as work:
            user = await work.users.get(principal.user)
        if not user.password:
            raise required(password=False)
        await self._logins.check(user.name, password, address, code)
        now = self._clock()
        async with self._begin() as work:
            found = await _access(work, principal)
            if isinstance(found, Session):
                await work.sessions.save(replace(found, proven=now))
            elif found is not None:
                await work.tokens.save(replace(found, proven=now))
            await work.commit()
        return now + RECENT


async def require_proof(
    work: UnitOfWork, principal: Principal, now: int, *, others: bool = False
) -> None:
    """Refuse a caller who has not proven lately who they are.

    Args:
        work: in which it is looked up, best that of the change.
        principal: the caller; one that is neither a session nor a token is no stranger's.
        now: unix seconds.
        others: whether it is somebody else's account, where a personal token is good enough.

    Raises:
        SecureFlowError: `proof_required`.
    """
    if not principal.session and not principal.token:
        return
    found = await _access(work, principal)
    if others and isinstance(found, Token) and _personal(found):
        return
    if found is None or abs(now - found.proven) > RECENT:
        user = await work.users.find(principal.user)
        raise required(password=user is not None and bool(user.password))


def _personal(token: Token) -> bool:
    """Tell whether a token was made for a program; one of a login was proven when it began."""
    return not token.family and not token.proven


async def _access(work: UnitOfWork, principal: Principal) -> Session | Token | None:
    """Return the caller's session or token, unless it has ended."""
    found: Session | Token | None
    if principal.session:
        found = await work.sessions.find(principal.session)
    else:
        found = await work.tokens.find(principal.token)
    return found if found is not None and found.user == principal.user else None


def required(*, password: bool) -> SecureFlowError:
    """Return the error for a missing proof, with the next step for who has a password or none."""
    return SecureFlowError(
        "proof_required",
        Text(
            "This takes a proof that it is you, of the last {minutes} minutes.",
            minutes=RECENT // 60,
        ),
        "Give your password again; programs: POST /api/v1/me/proof."
        if password
        else "You have no password here: log in again at your identity provider, then repeat this.",
        {"password": password},
    )
