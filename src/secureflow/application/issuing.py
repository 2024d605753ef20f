"""Link certificates as the centre issues them: a renewal leaves a leaf, and a line for its owner.

Whoever holds a party's key can have its certificate renewed. The party itself knows what it asked
for, so it can tell a renewal that somebody else asked for, once it is told of all of them: the leaf
is for auditors, the line for the party's own doctor. A renewal does not wait for the log: an agent
whose certificate ran out could else not come back while the log stands still.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from secureflow.application.listing import every
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
"""Lines that stay for the owner; the log keeps all."""


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
        """Issue a certificate in place of the agent's; the caller commits, then calls `number`.

        Returns:
            The chain, and what `number` asks for.
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
        """Have a renewal's leaf numbered, if the log can do that now; else it is when it can."""
        with contextlib.suppress(SecureFlowError):
            await self._ledger.sequenced("", seq)


async def issued(work: UnitOfWork, agent: str) -> Sequence[dict[str, JSON]]:
    """Return the newest renewals of an identity, oldest first: {by, old, serial, key, at}."""
    lines: list[dict[str, JSON]] = await work.setting(_place(agent)) or []
    return lines


async def lapsed(work: UnitOfWork, party: str, now: int) -> str:
    """Say that a party's newest certificate does not hold by the centre's clock; empty: it does.

    Whoever shows it is refused before anything is heard of it, and the clock may be the reason.
    """
    message = ""
    for agent in await every(work.agents, party=party):
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
