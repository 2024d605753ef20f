"""A challenge serves once: whichever server gave it out, whichever is asked, restarted or not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.issuing import Issuing
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.renewals import Renewals
from secureflow.domain.organisations import Agent, Organisation
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key
from secureflow.kit.renewal import DOMAIN, renewal_body
from tests.contract.database.conftest import LOG_KEY

NOW = 1_700_000_000
AGENT = "spiffe://test.example/org/bank-a/agent/a1"
KEY = SigningKey.generate()
CSR = make_csr(new_link_key())


class Servers:
    """Replicas on one database: they share its rows and the log's key, and no memory."""

    def __init__(self, ledger: SqlLedger, authority: Authority) -> None:
        self._issuing = Issuing(authority, ledger, LOG_KEY, lambda: NOW)

    def start(self, begin: UnitOfWorkFactory) -> Renewals:
        return Renewals(begin, self._issuing, LOG_KEY, lambda: NOW, lambda: 0.0)


async def answer(server: Renewals, nonce: str, address: str = "192.0.2.1") -> str:
    proof = KEY.sign(DOMAIN, renewal_body(AGENT, nonce, CSR))
    try:
        await server.renew(AGENT, nonce, CSR, proof, address)
    except SecureFlowError as error:
        return error.code
    return "renewed"


async def test_a_challenge_serves_once_by_record(
    database: Database, ledger: SqlLedger, another: Callable[[], Database], tmp_path: Path
) -> None:
    async with database.begin() as work:
        await work.organisations.add(Organisation("bank-a", "A", NOW))
        await work.agents.add(Agent(AGENT, "agent", "bank-a", "bank-a", KEY.public, NOW))
        await work.commit()
    servers = Servers(ledger, Authority.create(tmp_path / "ca", "test.example", NOW))
    other = another()
    await other.start()

    nonce = servers.start(database.begin).challenge(AGENT, "192.0.2.1").nonce
    # Each is a server that was started after the challenge was given out.
    assert await answer(servers.start(database.begin), nonce) == "renewed"
    for begin in (database.begin, other.begin):
        assert await answer(servers.start(begin), nonce) == "proof_refused"

    one, two = servers.start(database.begin), servers.start(other.begin)
    for _ in range(4):
        nonce = one.challenge(AGENT, "192.0.2.1").nonce
        told = await asyncio.gather(*(answer(server, nonce) for server in (one, two, one, two)))
        assert Counter(told) == {"renewed": 1, "proof_refused": 3}
