"""The issuing of link certificates: a renewal leaves a log leaf, and a record for its owner.

Anyone who holds a party's key can renew its certificate. The party knows its own requests, so it
can detect a renewal that someone else requested, once it learns of all of them: the leaf is for
auditors, the record for the party's own doctor. A renewal does not wait for the log: otherwise an
agent with an expired certificate could not come back while the log is held.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from secureflow.application.listing import list_readable
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.recording import server_leaf
from secureflow.domain.organisations import Agent
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import (
    CLOCK_SKEW,
    PARTY_LIFE,
    Authority,
    key_digest,
    parse_certificate,
    serial,
)
from secureflow.kit.spiffe import SpiffeId

By = Literal["link", "signing key"]
ENCLAVE_NAME: Final = "secureflow-enclave"
"""The DNS name in every enclave's certificate; agents dial its address under this name."""
RENEWED: Final = "certificate.renewed"
REMEMBERED: Final = 64
"""Records kept for the owner; the log keeps all."""


class Issuing:
    """Issues the link certificates of agents and enclaves.

    Args:
        authority: signs them.
        ledger: numbers the leaves of renewals.
        log_key: signs these.
        clock: dates all.
    """

    def __init__(
        self, authority: Authority, ledger: Ledger, log_key: SigningKey, clock: Clock
    ) -> None:
        self.authority = authority
        self._ledger = ledger
        self._log_key = log_key
        self._clock = clock

    def issue(self, csr: str, identity: SpiffeId) -> str:
        """Return a certificate chain.

        Raises:
            SecureFlowError: `csr_…`, `spiffe_…`.
        """
        dns = (ENCLAVE_NAME,) if identity.role == "enclave" else ()
        return self.authority.issue(csr, str(identity), self._clock(), dns=dns)

    async def renew(self, work: UnitOfWork, agent: Agent, csr: str, by: By) -> tuple[str, int]:
        """Issue a certificate to replace the agent's; the caller commits, then calls `number`.

        Returns:
            The chain, and the argument of `number`.
        """
        certificate = self.issue(csr, SpiffeId.parse(agent.id))
        leaf = parse_certificate(certificate)
        now, seq = self._clock(), secrets.randbits(53)
        renewal: dict[str, JSON] = {
            "by": by,
            "old": agent.serial,
            "serial": serial(leaf),
            "key": key_digest(leaf),
        }
        document = {"agent": agent.id, "organisation": agent.organisation, **renewal}
        await work.agents.save(replace(agent, serial=renewal["serial"]))
        lines = [*await issued(work, agent.id), {**renewal, "at": now}]
        await work.set_setting(_place(agent.id), lines[-REMEMBERED:])
        origin = self._ledger.origin
        entry = server_leaf(RENEWED, document, origin, self._log_key, now, seq=seq)
        await work.leaves.submit([entry])
        return certificate, seq

    async def number(self, seq: int) -> None:
        """Have a renewal's leaf numbered now if the log can, else later."""
        with contextlib.suppress(SecureFlowError):
            await self._ledger.sequenced("", seq)


async def issued(work: UnitOfWork, agent: str) -> Sequence[dict[str, JSON]]:
    """Return the newest renewals of an identity, oldest first: {by, old, serial, key, at}."""
    lines: list[dict[str, JSON]] = await work.setting(_place(agent)) or []
    return lines


async def certificate_problem(work: UnitOfWork, party: str, now: int) -> str:
    """Return why a party's newest certificate is not valid by the centre's clock; empty if it is.

    A party with such a certificate is refused before it can say anything; a wrong clock may be the
    reason.
    """
    message = ""
    for agent in await list_readable(work.agents, party=party):
        lines = await issued(work, agent.id)
        at = int(lines[-1]["at"]) if lines else agent.created
        if agent.revoked is not None:
            continue
        if -CLOCK_SKEW <= timedelta(seconds=now - at) <= PARTY_LIFE - CLOCK_SKEW:
            return ""
        message = (
            f"The centre issued its link certificate at {_minute(at)}; by the centre's clock it "
            f"is {_minute(now)} now, and the certificate is not valid."
        )
    return message


def _minute(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _place(agent: str) -> str:
    return f"certificates/{hashlib.sha256(agent.encode()).hexdigest()[:32]}"
