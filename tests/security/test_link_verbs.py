"""Authorisation on the links, cell by cell: every verb × kind of certificate.

The verbs are those that the desk answers, so one that somebody adds without a line in `VERBS`
fails here. Kinds of certificate: of a member's agent, of another tenant's agent, of the enclave,
of a revoked agent, of an agent of a disabled organisation, and of one that never enrolled. (Without
a certificate of the CA nobody gets past TLS: tests/contract/link/test_identity.py.) It must hold
that

- an agent and the enclave get through to what `VERBS` says, and are refused everything else;
- what an agent does touches nothing of another tenant, and shows nothing of it;
- who is not (any more) enrolled is refused every verb.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from secureflow.adapters.link import PeerIdentity
from secureflow.application.throttle import Throttle
from secureflow.application.witnessing import Witnessing
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key
from secureflow.kit.spiffe import SpiffeId
from secureflow.server.rpc import PartyDesk
from tests.doubles import MemoryArtifacts, Tables
from tests.stage import COLUMNS, Stage, two_worlds
from tests.unit.server.test_rpc import JobStores

SIGNATURE = SigningKey.from_seed(b"\x07" * 32).sign("charter", {})
LET_IN = "let in"
REFUSED = frozenset({"forbidden", "certificate_revoked", "organisation_disabled"})


@dataclass(frozen=True)
class Verb:
    """A call's body, and whether the enclave may make it too."""

    body: dict[str, Any] = field(default_factory=dict)
    enclave: bool = False


DATASET: dict[str, Any] = {
    "name": "customers", "title": "C", "columns": COLUMNS, "rows": "10k-50k",
    "commitment": "cd" * 32,
}  # fmt: skip
VERBS: dict[str, Verb] = {
    "certificate.renew": Verb({"csr": make_csr(new_link_key())}, enclave=True),
    "certificate.list": Verb(enclave=True),
    "dataset.publish": Verb(DATASET),
    "dataset.remove": Verb({"name": "customers"}),
    "dataset.uses": Verb({"name": "customers"}),
    "charter.get": Verb(enclave=True),
    "charter.sign": Verb({"digest": "0" * 64, "signature": SIGNATURE}),
    "charter.take_over": Verb({"charter": {}}),
    "audit.head": Verb(enclave=True),
    "audit.entries": Verb({"start": 0, "limit": 500}),
    "job.ends": Verb({"jobs": ["$job"]}, enclave=True),
    "log.show": Verb({"heads": [], "leaves": []}),
    "log.mine": Verb({"limit": 10}),
    "log.prove": Verb({"size": 0, "to": 1, "leaves": []}, enclave=True),
    "log.resubmit": Verb({"leaves": [], "jobs": ["$job"]}),
    "grant.tell": Verb({"body": {}, "signature": "00"}),
    "grant.list": Verb({"submitters": []}),
    "grant.end": Verb({"body": {}, "signature": "00"}),
    "job.withdraw": Verb({"jobs": []}),
    "question.ask": Verb({"job": "$job", "key": "0" * 32, "text": "Why?"}),
    "question.answers": Verb({"jobs": ["$job"]}),
    "anchor.tell": Verb({"statements": []}),
    "revenue.get": Verb({"project": "prj_x", "version": 1}),
    "revenue.sign": Verb({"project": "prj_x", "digest": "0" * 64, "signature": SIGNATURE}),
    "settlement.list": Verb({"project": "prj_x"}),
    "settlement.get": Verb({"settlement": "0" * 64, "start": 0}),
    "settlement.tell": Verb({"deed": {}}),
    "settlement.record": Verb({"job": "job_x", "offset": 0}),
    "status": Verb(enclave=True),
    "engines": Verb({"engines": {}}),
}


@dataclass
class Links:
    """The desk over both worlds, put back before each test."""

    stage: Stage
    desk: PartyDesk
    tables: Tables
    enclave: str

    async def attempt(self, spiffe: SpiffeId, verb: str) -> tuple[str, Any]:
        """Make a call under a certificate; return the error's code or `LET_IN`, and the answer."""
        body = {
            name: [self.stage.ids[one[1:]] if str(one).startswith("$") else one for one in value]
            if isinstance(value, list) and name == "jobs"
            else value
            for name, value in VERBS[verb].body.items()
        }
        try:
            peer: PeerIdentity = await self.desk.authorise(spiffe, "1")
            return LET_IN, await self.desk.call(peer, verb, body)
        except SecureFlowError as error:
            return error.code, error.as_json()

    def rows_of(self, organisation: str) -> dict[str, Any]:
        """Return every row that is an organisation's."""
        rows = self.stage.database.tables.rows
        return {
            f"{table}/{key}": copy.deepcopy(row)
            for table, found in rows.items()
            for key, row in found.items()
            if getattr(row, "organisation", "") == organisation
        }


def agent(organisation: str, name: str = "agent-1") -> SpiffeId:
    return SpiffeId("test.example", "agent", organisation, name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, str]:
    """Build both worlds and an enclave once: calls change copies of their tables."""

    async def build() -> tuple[Stage, str]:
        stage = await two_worlds(tmp_path_factory.mktemp("stage"))
        use = stage.services.organisations
        _, text = await use.invite(stage.operator, "enclave", "")
        enrolled = await use.enroll(text, make_csr(new_link_key()), "main", "", "")
        return stage, enrolled.spiffe

    return asyncio.run(build())


@pytest.fixture
async def links(shared: tuple[Stage, str]) -> AsyncIterator[Links]:
    stage, enclave = shared
    tables = stage.database.tables
    services = stage.services
    desk = PartyDesk(
        *(Witnessing(stage.ledger, services.charters.keys), 1 << 20),
        *(lambda: stage.now[0], MemoryArtifacts(), JobStores()),
        Throttle(1e6, 10**6, lambda: 0.0),
    )
    desk.open(services)
    yield Links(stage, desk, tables, enclave)
    stage.database.tables = tables


async def test_every_verb_has_a_line(links: Links) -> None:
    assert links.desk._calls.keys() == VERBS.keys()


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_an_agent_gets_through_and_touches_nothing_of_others(links: Links, verb: str) -> None:
    before = links.rows_of("bank-a")
    code, _ = await links.attempt(agent("bank-a"), verb)
    assert code not in REFUSED, code
    links.stage.database.tables = links.tables
    code, answer = await links.attempt(agent("outsider"), verb)
    assert code not in REFUSED, code
    assert links.rows_of("bank-a") == before
    told = json.dumps(answer, default=str)
    told = told.replace(f'"{links.stage.ids["job"]}": ""', "")  # what it asked for, with nothing
    for noun in ("project", "job", "model", "bank-a.dataset", "bank-a.grant"):
        assert links.stage.ids[noun] not in told, noun
    for person in ("bank-a", "bank-b", "bank-c"):
        assert links.stage.admin(person).user not in told


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_the_enclave_does_not_act_for_an_organisation(links: Links, verb: str) -> None:
    code, answer = await links.attempt(SpiffeId.parse(links.enclave), verb)
    assert (code not in REFUSED) is VERBS[verb].enclave, (code, answer)
    if not VERBS[verb].enclave:
        assert code == "forbidden"


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_who_is_not_enrolled_any_more_is_refused(links: Links, verb: str) -> None:
    use = links.stage.services.organisations
    await use.revoke(links.stage.operator, links.stage.ids["bank-b.agent"])
    await use.set_disabled(links.stage.operator, "bank-c", True)
    for certificate, expected in (
        (agent("bank-b"), "certificate_revoked"),
        (agent("bank-c"), "organisation_disabled"),
        (agent("bank-a", "never"), "certificate_revoked"),
        (SpiffeId("test.example", "enclave", "", "never"), "certificate_revoked"),
        (SpiffeId("other.example", "agent", "bank-a", "agent-1"), "certificate_revoked"),
    ):
        code, _ = await links.attempt(certificate, verb)
        assert code == expected, certificate
