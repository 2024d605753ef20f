"""What the centre knows of owners' grants: what they signed themselves, and its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.application.ports.courier import Request
from secureflow.application.running.replaying import is_cancellation
from secureflow.domain.grants import KIND, REVOKED
from secureflow.domain.jobs import JobState
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.spiffe import SpiffeId
from secureflow.server import grantverbs
from tests.stage import YEAR, Stage
from tests.unit.application.refusing import refused
from tests.unit.application.test_driving import JOB, Courier, Faults, world


def signed(stage: Stage, key: SigningKey | None = None, **changes: Any) -> dict[str, Any]:
    """Return what bank-a's agent tells of a grant."""
    terms = {
        "dataset": "loans", "project": stage.ids["project"], "columns": ["age"],
        "expires": stage.now[0] + YEAR, "kinds": ["training"], "uses": 3,
    }  # fmt: skip
    body = {
        "grant": "", "organisation": "bank-a", "terms": terms, "created": stage.now[0],
        "nonce": "ab" * 16, "proposal": "", **changes,
    }  # fmt: skip
    body["grant"] = digest(body)
    return {"body": body, "signature": (key or stage.keys["bank-a"]).sign(KIND, body)}


def ended(stage: Stage, told: dict[str, Any], proposal: str = "") -> dict[str, Any]:
    body = {
        "grant": told["body"]["grant"], "proposal": proposal, "organisation": "bank-a", "at": 1,
    }  # fmt: skip
    return {"body": body, "signature": stage.keys["bank-a"].sign(REVOKED, body)}


def agent(organisation: str) -> PeerIdentity:
    spiffe = SpiffeId("test.example", "agent", organisation, "main")
    return PeerIdentity(organisation, spiffe, "01")


async def published(stage: Stage) -> str:
    description = {
        "name": "loans", "title": "Loans", "rows": "1k-5k", "commitment": "cd" * 32,
        "columns": [{"name": "age", "type": "number", "bounds": [0, 100]}],
    }  # fmt: skip
    return (await stage.services.datasets.publish("bank-a", description)).id


async def of_loans(stage: Stage) -> dict[str, Any]:
    """Return the one grant of bank-a's loans, as its agent is shown it."""
    shown = (await grantverbs.listed(stage.services, agent("bank-a"), {}))["grants"]
    (one,) = (one for one in shown if one["terms"]["dataset"] == "loans")
    return dict(one)


async def told(stage: Stage, body: dict[str, Any], by: str = "bank-a") -> Any:
    return await grantverbs.tell(stage.services, agent(by), body)


async def test_a_grant_of_an_agent_gives_visibility_and_is_recorded(stage: Stage) -> None:
    key = await published(stage)
    body = signed(stage)
    answer = await told(stage, body)
    assert (await told(stage, body)) == answer, "once"
    assert (await stage.services.datasets.get(stage.scientist("bank-b"), key)).id == key
    listed = await of_loans(stage)
    assert listed["local"] == body["body"]["grant"]
    assert (listed["terms"]["uses"], listed["revoked"]) == (3, False)
    others = (await grantverbs.listed(stage.services, agent("bank-b"), {}))["grants"]
    assert answer["id"] not in {one["id"] for one in others}
    await grantverbs.end(stage.services, agent("bank-a"), ended(stage, body))
    with refused("not_found"):
        await stage.services.datasets.get(stage.scientist("bank-b"), key)
    kinds = [one.kind for one in await stage.services.ledger.entries(limit=1000)]
    assert {"grant.confirmed", "grant.revoked"} <= set(kinds)


async def test_a_proposal_becomes_the_agents_grant(stage: Stage) -> None:
    key = await published(stage)
    granted = await stage.services.datasets.grant(
        stage.owner("bank-a"), key, project=stage.ids["project"], columns=["age"], purposes=[],
        expires=stage.now[0] + YEAR,
    )  # fmt: skip
    proposal = granted.id
    body = signed(stage, proposal=proposal)
    assert await told(stage, body) == {"id": proposal}
    listed = await of_loans(stage)
    assert listed["id"] == proposal
    assert listed["local"] == body["body"]["grant"]
    await grantverbs.end(stage.services, agent("bank-a"), ended(stage, body, proposal))
    listed = await of_loans(stage)
    assert listed["revoked"]


async def test_nobody_grants_in_anothers_name(stage: Stage) -> None:
    await published(stage)
    body = signed(stage)
    other = {**body["body"], "terms": {**body["body"]["terms"], "uses": 4}}
    for wrong, by in (
        (body, "bank-b"),
        (signed(stage, stage.keys["bank-b"]), "bank-a"),
        ({**body, "body": other}, "bank-a"),
    ):
        with refused("grant_forged"):
            await told(stage, wrong, by)
    with refused("grant_forged"):
        await grantverbs.end(stage.services, agent("bank-b"), ended(stage, body))
    for malformed in ({}, {"body": [], "signature": ""}, {"body": {}, "signature": "x" * 200}):
        with pytest.raises(SecureFlowError):
            await told(stage, malformed)


@pytest.mark.parametrize("verb", ["tell", "end", "listed", "withdraw"])
async def test_an_enclave_has_no_grants(stage: Stage, verb: str) -> None:
    enclave = PeerIdentity(ENCLAVE, SpiffeId("test.example", "enclave", "", "main"), "01")
    body = {**signed(stage), "jobs": [["job_1", "grant_revoked"]], "submitters": []}
    with refused("forbidden"):
        await getattr(grantverbs, verb)(stage.services, enclave, body)


async def test_disabled_submitters_are_told_of_alone(stage: Stage) -> None:
    answer = await grantverbs.listed(
        stage.services, agent("bank-a"), {"submitters": ["usr_nobody", 7]}
    )
    assert answer["disabled"] == []
    with refused("invalid_request"):
        await grantverbs.listed(stage.services, agent("bank-a"), {"submitters": "all"})


@pytest.mark.parametrize(
    "body", [{}, {"jobs": "x"}, {"jobs": [["job_1", "cancelled"]]}, {"jobs": [["job_1"]]}]
)
async def test_a_malformed_withdrawal(stage: Stage, body: dict[str, Any]) -> None:
    with refused("invalid_request"):
        await grantverbs.withdraw(stage.services, agent("bank-a"), body)
    unknown = {"jobs": [["job_unknown0", "grant_revoked"]]}
    assert await grantverbs.withdraw(stage.services, agent("bank-a"), unknown) == {}


async def test_only_a_party_of_the_roster_withdraws(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    body = {"jobs": [[job.id, "grant_revoked"]]}
    await grantverbs.withdraw(stage.services, agent("outsider"), body)
    assert stage.driver.cancelled == []
    await grantverbs.withdraw(stage.services, agent("bank-b"), body)
    assert stage.driver.cancelled == [(job.id, "bank-b")]
    assert stage.driver.withdrawn == ["grant_revoked"]
    await stage.finish(job, state=JobState.SUCCEEDED)
    await grantverbs.withdraw(stage.services, agent("bank-b"), body)
    assert len(stage.driver.cancelled) == 1, "a job that is over stays as it ended"


async def test_a_withdrawn_job_ends_by_that_name(tmp_path: Path) -> None:
    """The error names the party, also if the centre is killed in between."""
    courier, reached = Courier(), asyncio.Event()

    async def ask(request: Request) -> dict[str, Any]:
        reached.set()
        return await asyncio.Future()

    courier.ask = ask  # type: ignore[method-assign]
    async with world(tmp_path, Faults(), courier) as one:
        await one.add()
        one.runner.start(JOB.id)
        await reached.wait()
        await one.runner.cancel(JOB.id, "bank-b", withdrawn="grant_revoked")
        job = await one.ended()
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error["code"] == "grant_revoked"
        assert job.error["details"]["party"] == "bank-b"
        assert "bank-b has revoked the grant" in job.error["message"]
        async with one.database.begin() as unit:
            lines = await unit.journal.read(JOB.id, 0)
        assert sum(map(is_cancellation, lines)) == 1, "it is told once, on replay too"
