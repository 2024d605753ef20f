"""Second factors of people: time-based one-time passwords, and recovery codes for their loss.

- A secret is shown once, and counts only after a code has proven that it arrived.
- It is stored under AES-256-GCM with a derived key, bound to the user's id: a copied database alone
  gives no codes, and a row that was moved to another user opens for nobody.
- A code is used once: the step of the last one is stored in the transaction that accepts it.
- Guesses are slowed down per person, like passwords; only who knows the password can cause that.
  Recovery codes have 80 random bits and are not slowed down: the owner always gets in with one.
- Where the operator demands a second factor of a role, its people can do nothing but enrol one
  until they have.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secureflow.application.access import Principal, missing, require, require_own
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.transactions import Transactions
from secureflow.domain.logins import SecondFactor
from secureflow.domain.users import Role, Scope, User
from secureflow.kit import totp
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError

ISSUER: Final = "SecureFlow"
_NONCE: Final = 12


@dataclass(frozen=True)
class Enrolling:
    """A second factor that is not confirmed yet: `secret` (base32) is shown once."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True)
class FactorState:
    """What a person may know of their second factor."""

    enrolled: bool
    since: int
    recovery_left: int
    required: bool


class SecondFactors:
    """Enrols, asks for and removes second factors (`application.logins.SecondFactor`).

    Args:
        begin: starts units of work.
        transactions: those whose changes are recorded.
        clock: dates codes.
        ticks: rate limit for guessing.
        key: 32 bytes that secrets are sealed under.
        required: the roles that need a second factor.
        issuer: the centre's name in the authenticator app.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        clock: Clock,
        ticks: Ticks,
        key: bytes,
        required: tuple[Role, ...] = (),
        issuer: str = ISSUER,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._guesses = Throttle(1 / 30, 5, ticks)
        self._cipher = AESGCM(key)
        self._required = frozenset(required)
        self._issuer = issuer

    async def require(self, work: UnitOfWork, user: User, code: str) -> bool:
        """Accept the code of a person who is logging in; False if they need none.

        Raises:
            SecureFlowError: `second_factor_required` without a code; `bad_credentials`,
                `rate_limited`, `second_factor_unreadable`.
        """
        factor = await _confirmed(work, user.id)
        if factor is None:
            return False
        if not totp.plain(code):
            raise SecureFlowError(
                "second_factor_required",
                "This account needs the code of its second factor as well.",
                "Give the six digits of your authenticator app, or a recovery code.",
            )
        await self._use(work, user.id, code)
        return True

    async def allowed(
        self, work: UnitOfWork, user: User, scopes: frozenset[Scope]
    ) -> frozenset[Scope]:
        """Return what is left of a caller's scopes if their role needs a second factor."""
        if not self._required & set(user.roles):
            return scopes
        if await _confirmed(work, user.id) is not None:
            return scopes
        return frozenset({Scope.SECOND_FACTOR})

    async def state(self, principal: Principal) -> FactorState:
        """Tell whether the caller has a second factor."""
        async with self._begin() as work:
            factor = await _confirmed(work, principal.user)
        since, left = (factor.confirmed or 0, len(factor.recovery)) if factor else (0, 0)
        required = bool(self._required & principal.roles)
        return FactorState(factor is not None, since, left, required)

    async def enrol(self, principal: Principal) -> Enrolling:
        """Return a new secret; it counts once it is confirmed, and replaces an unconfirmed one.

        Raises:
            SecureFlowError: `already_exists`, `proof_required`.
        """
        require_own(principal, "second_factor.enrol")
        secret = totp.new_secret()
        async with self._begin() as work:
            await work.lock(f"second_factor/{principal.user}")
            await require_proof(work, principal, self._clock())
            if await _confirmed(work, principal.user) is not None:
                raise _enrolled()
            await work.second_factors.remove(principal.user)
            sealed = self._seal(secret, principal.user)
            await work.second_factors.add(SecondFactor(principal.user, sealed, self._clock()))
            await work.commit()
        uri = totp.provisioning_uri(secret, principal.name, self._issuer)
        return Enrolling(totp.base32(secret), uri)

    async def confirm(self, principal: Principal, code: str) -> list[str]:
        """Make the enrolled factor count; return the recovery codes, which are shown once.

        Raises:
            SecureFlowError: `second_factor_missing`, `already_exists`, `bad_credentials`,
                `rate_limited`, `proof_required`.
        """
        require_own(principal, "second_factor.enrol")
        self._take(principal.user)
        codes = totp.new_recovery_codes()
        async with self._transactions() as transaction:
            work = transaction.work
            await work.lock(f"second_factor/{principal.user}")
            await require_proof(work, principal, self._clock())
            factor = await work.second_factors.find(principal.user)
            if factor is None:
                raise _missing()
            if factor.confirmed is not None:
                raise _enrolled()
            now = self._clock()
            step = totp.accepted_step(self._open(factor), totp.plain(code), now, factor.last)
            if step is None:
                raise _wrong()
            digests = tuple(totp.digest(one) for one in codes)
            counting = replace(factor, confirmed=now, last=step, recovery=digests)
            await work.second_factors.save(counting)
            about = {"user": principal.user, "organisation": principal.organisation}
            transaction.record("second_factor.enrolled", about)
        self._guesses.forget(principal.user)
        return codes

    async def remove(self, principal: Principal, code: str, *, used: bool = False) -> None:
        """Remove the caller's second factor, which takes one of its codes.

        Args:
            principal: the caller.
            code: as typed.
            used: whether the caller's proof of identity has just taken this code.

        Raises:
            SecureFlowError: `second_factor_missing`, `bad_credentials`, `rate_limited`,
                `proof_required`.
        """
        require_own(principal, "second_factor.remove")
        async with self._transactions() as transaction:
            if await _confirmed(transaction.work, principal.user) is None:
                raise _missing()
            await require_proof(transaction.work, principal, self._clock())
            if not used:
                await self._use(transaction.work, principal.user, code)
            await transaction.work.second_factors.remove(principal.user)
            about = {"user": principal.user, "organisation": principal.organisation}
            transaction.record("second_factor.removed", {**about, "by": principal.user})
            transaction.answer(None)

    async def reset(self, principal: Principal, key: str) -> None:
        """Remove the second factor of a person of the caller's organisation, who has lost it.

        Raises:
            SecureFlowError: `forbidden` (also for one's own, which takes a code), `not_found`,
                `proof_required`.
        """
        require(principal, "user.reset_second_factor")
        if key == principal.user:
            raise SecureFlowError(
                "forbidden",
                "Nobody resets their own second factor.",
                "Remove it with a code, or ask another administrator.",
            )
        async with self._transactions() as transaction:
            user = await transaction.work.users.find(key)
            if user is None or not (principal.operator or principal.acts_for(user.organisation)):
                raise missing("user", key)
            await require_proof(transaction.work, principal, self._clock(), others=True)
            if await transaction.work.second_factors.find(key) is not None:
                await transaction.work.second_factors.remove(key)
                about = {"user": key, "organisation": user.organisation, "by": principal.user}
                transaction.record("second_factor.removed", about)
            transaction.answer(None)

    async def _use(self, work: UnitOfWork, user: str, typed: str) -> None:
        """Accept a code and note that it was used; the caller commits."""
        code = totp.plain(typed)
        if not totp.is_recovery(code):
            self._take(user)
        await work.lock(f"second_factor/{user}")
        factor = await _confirmed(work, user)  # again: another login may have used the code
        if factor is None:
            raise _wrong()
        await work.second_factors.save(self._after(factor, code))
        if not totp.is_recovery(code):
            self._guesses.forget(user)

    def _after(self, factor: SecondFactor, code: str) -> SecondFactor:
        """Return the factor after a code was used; raises `bad_credentials`."""
        if totp.is_recovery(code):
            used = totp.matching(factor.recovery, code)
            if used is None:
                raise _wrong()
            return replace(factor, recovery=tuple(one for one in factor.recovery if one != used))
        step = totp.accepted_step(self._open(factor), code, self._clock(), factor.last)
        if step is None:
            raise _wrong()
        return replace(factor, last=step)

    def _take(self, user: str) -> None:
        if wait := self._guesses.take(user):
            raise too_fast(wait)

    def _seal(self, secret: bytes, user: str) -> str:
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, secret, user.encode())
        return base64.b64encode(sealed).decode("ascii")

    def _open(self, factor: SecondFactor) -> bytes:
        try:
            data = base64.b64decode(factor.sealed, validate=True)
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], factor.id.encode())
        except (ValueError, InvalidTag) as error:
            raise SecureFlowError(
                "second_factor_unreadable",
                "The second factor of this account was stored under another key, or changed.",
                "Log in with a recovery code, or ask an administrator to reset it.",
            ) from error


async def _confirmed(work: UnitOfWork, user: str) -> SecondFactor | None:
    factor = await work.second_factors.find(user)
    return factor if factor is not None and factor.confirmed is not None else None


def _wrong() -> SecureFlowError:
    return SecureFlowError(
        "bad_credentials",
        "The code of the second factor does not match.",
        "A code counts once, and for half a minute. Check the clock of its device.",
    )


def _enrolled() -> SecureFlowError:
    return SecureFlowError(
        "already_exists",
        "This account has a second factor already.",
        "Remove it first: secureflow totp remove.",
    )


def _missing() -> SecureFlowError:
    return SecureFlowError(
        "second_factor_missing",
        "This account has no second factor.",
        "Enrol one: secureflow totp enrol.",
    )
