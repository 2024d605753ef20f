"""Renewal of an expired link certificate with the signing key that was enrolled.

Anyone may ask, so nothing is looked up or stored for a stranger: a challenge is signed by the
server, not stored, and is verified before the database is read. Only a proof by the enrolled key
reaches the record, which holds each nonce that was used. Reasons for refusals are given only to
callers who proved the key: a stranger cannot learn whether an identity exists.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from secureflow.application.issuing import Issuing
from secureflow.application.organisations import revoked, speaking
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.throttle import Throttle, too_fast
from secureflow.domain.organisations import Agent
from secureflow.kit import crypto
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.renewal import CHALLENGE_SECONDS, DOMAIN, renewal_body

PER_HOUR: Final = 6
"""Renewals of one identity in an hour: a wrong clock needs one, and one once it is corrected."""
REMEMBERED: Final = 32
"""Used nonces kept per identity; far more than can be answered in time."""
HOUR: Final = 3600
PER_SECOND: Final = 5.0
AT_ONCE: Final = 60
"""Challenges, and answers, per address. Many agents may be behind one (NAT), and all their
certificates may have expired in one night: an answer with a valid proof is not counted."""
_CHALLENGE: Final = "renewal-challenge"
_NONCE: Final = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9+/=]{88})")


@dataclass(frozen=True)
class RenewalChallenge:
    """What an agent signs; `time` lets it compare clocks."""

    nonce: str
    time: int
    expires: int


class Renewals:
    """Renews link certificates of agents and enclaves that cannot dial in.

    Args:
        begin: starts units of work.
        issuing: issues certificates.
        key: the log's key; it signs challenges, so every replica knows them.
        clock: dates challenges and certificates.
        ticks: rate limit per address.
        coming: called with parties that proved their key and got a certificate: they will dial in
            with it.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        issuing: Issuing,
        key: crypto.SigningKey,
        clock: Clock,
        ticks: Ticks,
        coming: Callable[[Agent], None] = lambda _: None,
    ) -> None:
        self._begin = begin
        self._issuing = issuing
        self._key = key
        self._clock = clock
        self._coming = coming
        self._challenges = Throttle(PER_SECOND, AT_ONCE, ticks)
        self._answers = Throttle(PER_SECOND, AT_ONCE, ticks)

    def challenge(self, agent: str, address: str) -> RenewalChallenge:
        """Return a challenge for a caller who claims to be this agent; it is not stored.

        Raises:
            SecureFlowError: `rate_limited`.
        """
        _pace(self._challenges, address)
        now = self._clock()
        random = secrets.token_urlsafe(16)
        signature = self._key.sign(_CHALLENGE, _challenged(agent, now, random))
        return RenewalChallenge(f"{now}.{random}.{signature}", now, now + CHALLENGE_SECONDS)

    async def renew(self, agent: str, nonce: str, csr: str, signature: str, address: str) -> str:
        """Return a new certificate chain for the same identity.

        Raises:
            SecureFlowError: `rate_limited`, `proof_refused` (also for an identity that nobody
                enrolled, and for an enclave that enrolled no key), `certificate_revoked`,
                `organisation_disabled`, `csr_…`.
        """
        _pace(self._answers, address)
        self._check_challenge(agent, nonce)
        async with self._begin() as work:
            known = await work.agents.find(agent)
        # The same work whether or not the identity exists.
        key = known.key if known is not None and known.key else self._key.public
        proved = crypto.verify(key, DOMAIN, renewal_body(agent, nonce, csr), signature)
        if not proved or known is None or not known.key:
            raise _unproved()
        async with self._begin() as work:
            await work.lock(f"renewals/{agent}")
            current = await _living(work, agent, known.key)
            await self._use(work, agent, nonce)
            certificate, seq = await self._issuing.renew(work, current, csr, "signing key")
            await work.commit()
        self._coming(current)
        for throttle in (self._challenges, self._answers):
            throttle.give_back(address)
        await self._issuing.number(seq)
        return certificate

    def _check_challenge(self, agent: str, nonce: str) -> None:
        parts = _NONCE.fullmatch(nonce)
        if parts is None:
            raise _unproved()
        at, random, signature = int(parts[1]), parts[2], parts[3]
        body = _challenged(agent, at, random)
        if not crypto.verify(self._key.public, _CHALLENGE, body, signature):
            raise _unproved()
        if not 0 <= self._clock() - at <= CHALLENGE_SECONDS:
            raise _unproved()

    async def _use(self, work: UnitOfWork, agent: str, nonce: str) -> None:
        """Record the nonce, unless it was used, or there were too many lately."""
        name = f"renewals/{hashlib.sha256(agent.encode()).hexdigest()[:32]}"
        used: list[dict[str, JSON]] = await work.setting(name) or []
        digest = hashlib.sha256(nonce.encode()).hexdigest()
        if any(one["nonce"] == digest for one in used):
            raise _unproved()
        now = self._clock()
        lately = sum(abs(now - one["at"]) < HOUR for one in used)
        if lately >= PER_HOUR:
            raise too_fast(HOUR)
        used = [*used, {"nonce": digest, "at": now}][-REMEMBERED:]
        await work.set_setting(name, used)


async def _living(work: UnitOfWork, spiffe: str, key: str) -> Agent:
    """Return the agent as it is now, if it and its organisation are still admitted."""
    agent = await work.agents.find(spiffe)
    if agent is None or agent.key != key:
        raise revoked(spiffe)
    return await speaking(work, agent)


def _pace(throttle: Throttle, address: str) -> None:
    if wait := throttle.take(address):
        raise too_fast(wait)


def _challenged(agent: str, at: int, random: str) -> dict[str, JSON]:
    return {"agent": agent, "at": at, "random": random}


def _unproved() -> SecureFlowError:
    return SecureFlowError(
        "proof_refused",
        "The renewal is not proven by the signing key that was enrolled for this identity.",
        "Ask for a fresh challenge, on the machine that holds signing.key; each works once.",
    )
