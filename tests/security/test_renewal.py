"""Renewal by the enrolled key is open to strangers: what each of them gets out of it."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from secureflow.adapters.link import ENCLAVE_NAME, CredentialFiles
from secureflow.adapters.link.backoff import JitteredBackoff
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.renewals import AT_ONCE, PER_HOUR
from secureflow.domain.organisations import Agent
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key, parse_certificate, serial, spiffe_id
from secureflow.kit.renewal import CHALLENGE_SECONDS, DOMAIN, renewal_body
from tests.stage import Stage, two_worlds
from tests.unit.application.refusing import refused
from tests.unit.server.conftest import Api


@pytest.fixture
async def stage(tmp_path: Any) -> Stage:
    return await two_worlds(tmp_path)


def request_of(
    stage: Stage, key: SigningKey | None = None, of: str = "", **changes: str
) -> dict[str, str]:
    """Return what an honest agent of bank-a sends, from its own address."""
    agent, csr = of or stage.ids["bank-a.agent"], make_csr(new_link_key())
    nonce = stage.services.renewals.challenge(agent, "192.0.2.1").nonce
    signature = (key or stage.keys["bank-a"]).sign(DOMAIN, renewal_body(agent, nonce, csr))
    made = {"agent": agent, "nonce": nonce, "csr": csr, "signature": signature}
    return made | {"address": "192.0.2.1"} | changes


async def code_of(attempt: Awaitable[object]) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await attempt
    return caught.value.code


async def renew(stage: Stage, **request: str) -> str:
    return await stage.services.renewals.renew(**request)


async def test_the_enrolled_key_renews_the_same_identity_long_after_it_ran_out(
    stage: Stage,
) -> None:
    stage.now[0] += 40 * 86_400
    leaf = parse_certificate(await renew(stage, **request_of(stage)))
    assert spiffe_id(leaf) == stage.ids["bank-a.agent"]
    assert leaf.not_valid_after_utc.timestamp() > stage.now[0]
    async with stage.database.begin() as work:
        agent = await work.agents.get(stage.ids["bank-a.agent"])
    assert agent.serial == f"{leaf.serial_number:x}"


async def test_only_who_proves_the_key_is_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs wait for a party that a wrong clock kept out; no stranger makes them wait."""
    coming: list[str] = []
    renewals = stage.services.renewals
    monkeypatch.setattr(renewals, "_coming", lambda agent: coming.append(agent.party))
    renewals.challenge(stage.ids["bank-a.agent"], "192.0.2.1")
    stranger = request_of(stage, SigningKey.generate())
    assert await code_of(renew(stage, **stranger)) == "proof_refused"
    other = request_of(stage, stage.keys["bank-b"])
    assert await code_of(renew(stage, **other)) == "proof_refused"
    honest = request_of(stage)
    await stage.services.organisations.revoke(stage.operator, stage.ids["bank-b.agent"])
    gone = request_of(stage, stage.keys["bank-b"], stage.ids["bank-b.agent"])
    assert await code_of(renew(stage, **gone)) == "certificate_revoked"
    assert coming == []
    await renew(stage, **honest)
    assert await code_of(renew(stage, **honest)) == "proof_refused"
    assert coming == ["bank-a"]


async def test_a_nonce_serves_once(stage: Stage) -> None:
    request = request_of(stage)
    await renew(stage, **request)
    with refused("proof_refused"):
        await renew(stage, **request)
    csr = make_csr(new_link_key())  # the owner of the key itself cannot use it twice either
    body = renewal_body(request["agent"], request["nonce"], csr)
    again = {"csr": csr, "signature": stage.keys["bank-a"].sign(DOMAIN, body)}
    with refused("proof_refused"):
        await renew(stage, **(request | again))


async def test_a_nonce_is_the_servers_own_fresh_and_for_this_identity(stage: Stage) -> None:
    agent, csr = stage.ids["bank-a.agent"], make_csr(new_link_key())
    key = stage.keys["bank-a"]

    async def with_nonce(nonce: str) -> str:
        signature = key.sign(DOMAIN, renewal_body(agent, nonce, csr))
        return await renew(
            stage, agent=agent, nonce=nonce, csr=csr, signature=signature, address="192.0.2.1"
        )

    real = stage.services.renewals.challenge(agent, "192.0.2.1").nonce
    at, random, signature = real.split(".")
    theirs = stage.services.renewals.challenge(stage.ids["bank-b.agent"], "192.0.2.1").nonce
    for nonce in ("", "x", f"{int(at) + 1}.{random}.{signature}", theirs):
        with refused("proof_refused"):
            await with_nonce(nonce)
    stage.now[0] += CHALLENGE_SECONDS + 1
    with refused("proof_refused"):
        await with_nonce(real)
    stage.now[0] -= 2 * CHALLENGE_SECONDS
    with refused("proof_refused"):
        await with_nonce(real)


@pytest.mark.parametrize("whose", ["bank-b", "nobody"])
async def test_another_key_renews_nothing(stage: Stage, whose: str) -> None:
    key = stage.keys["bank-b"] if whose == "bank-b" else SigningKey.generate()
    with refused("proof_refused"):
        await renew(stage, **request_of(stage, key))


async def test_a_signature_is_over_this_csr(stage: Stage) -> None:
    with refused("proof_refused"):
        await renew(stage, **request_of(stage, csr=make_csr(new_link_key())))


async def test_revoked_and_disabled_identities_stay_out(stage: Stage) -> None:
    organisations, agent = stage.services.organisations, stage.ids["bank-a.agent"]
    await organisations.set_disabled(stage.operator, "bank-a", True)
    with refused("organisation_disabled"):
        await renew(stage, **request_of(stage))
    with refused("organisation_disabled"):
        await organisations.renew(agent, make_csr(new_link_key()))
    with refused("organisation_disabled"):
        await organisations.admitted(agent)
    await organisations.set_disabled(stage.operator, "bank-a", False)
    await renew(stage, **request_of(stage))
    await organisations.renew(agent, make_csr(new_link_key()))
    assert (await organisations.admitted(agent)).id == agent
    await organisations.revoke(stage.operator, agent)
    with refused("certificate_revoked"):
        await renew(stage, **request_of(stage))


async def test_a_stranger_learns_of_no_identity_whether_it_exists_or_was_revoked(
    stage: Stage,
) -> None:
    await stage.services.organisations.revoke(stage.operator, stage.ids["bank-a.agent"])
    key, csr, told = SigningKey.generate(), make_csr(new_link_key()), set()
    for agent in (
        stage.ids["bank-a.agent"],
        stage.ids["bank-b.agent"],
        "spiffe://test.example/org/bank-z/agent/agent-1",
        "spiffe://test.example/enclave/main",
        "nothing",
    ):
        nonce = stage.services.renewals.challenge(agent, "192.0.2.1").nonce
        signature = key.sign(DOMAIN, renewal_body(agent, nonce, csr))
        with pytest.raises(SecureFlowError, match="not proven") as caught:
            await renew(
                stage, agent=agent, nonce=nonce, csr=csr, signature=signature, address="192.0.2.1"
            )
        told.add(str(caught.value))
    assert len(told) == 1


async def test_an_enclave_of_an_older_version_has_no_key_to_renew_by(stage: Stage) -> None:
    """An empty key, and the server's own that stands in for a missing one, prove nothing."""
    _, text = await stage.services.organisations.invite(stage.operator, "enclave", "")
    csr = make_csr(new_link_key())
    agent = (await stage.services.organisations.enroll(text, csr, "main", "", "")).spiffe
    nonce = stage.services.renewals.challenge(agent, "192.0.2.1").nonce
    request = {"agent": agent, "nonce": nonce, "csr": csr, "address": "192.0.2.1"}
    with refused("proof_refused"):
        await renew(stage, **request, signature="")


async def enclave_of(stage: Stage, key: SigningKey, name: str = "main") -> str:
    _, text = await stage.services.organisations.invite(stage.operator, "enclave", "")
    csr = make_csr(new_link_key())
    proof = proof_body(EnrolmentToken.parse(text).id, csr, key.public)
    signature = key.sign("enrol", proof)
    made = await stage.services.organisations.enroll(text, csr, name, key.public, signature)
    return made.spiffe


async def test_an_enclave_renews_by_the_key_that_it_enrolled_and_stays_one(stage: Stage) -> None:
    key = SigningKey.generate()
    enclave = await enclave_of(stage, key)
    stage.now[0] += 40 * 86_400
    leaf = parse_certificate(await renew(stage, **request_of(stage, key, of=enclave)))
    assert spiffe_id(leaf) == enclave
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [ENCLAVE_NAME]
    for other in (stage.keys["bank-a"], SigningKey.generate()):
        with refused("proof_refused"):
            await renew(stage, **request_of(stage, other, of=enclave))
    await stage.services.organisations.revoke(stage.operator, enclave)
    with refused("certificate_revoked"):
        await renew(stage, **request_of(stage, key, of=enclave))


async def test_an_enclave_made_anew_takes_the_place_of_the_old_one_and_its_key(
    stage: Stage,
) -> None:
    old, new = SigningKey.generate(), SigningKey.generate()
    enclave = await enclave_of(stage, old)
    assert await enclave_of(stage, new) == enclave
    with refused("proof_refused"):
        await renew(stage, **request_of(stage, old, of=enclave))
    await renew(stage, **request_of(stage, new, of=enclave))
    await stage.services.organisations.revoke(stage.operator, enclave)
    with refused("already_exists"):
        await enclave_of(stage, SigningKey.generate())
    await enclave_of(stage, SigningKey.generate(), "second")


async def test_who_was_replaced_while_it_proved_itself_gets_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity is looked at again in the transaction that renews."""
    renewals, request, looks = stage.services.renewals, request_of(stage), iter(range(9))
    begin = renewals._begin

    @asynccontextmanager
    async def racing() -> AsyncIterator[UnitOfWork]:
        if next(looks) == 1:
            async with begin() as work:
                agent = await work.agents.get(request["agent"])
                await work.agents.save(replace(agent, key=SigningKey.generate().public))
                await work.commit()
        async with begin() as work:
            yield work

    monkeypatch.setattr(renewals, "_begin", racing)
    with refused("certificate_revoked"):
        await renew(stage, **request)


async def test_every_renewal_is_a_leaf_and_told_to_its_owner(stage: Stage, tmp_path: Path) -> None:
    """A thief of the signing key cannot renew unseen."""
    agent, organisations = stage.ids["bank-a.agent"], stage.services.organisations
    first, key = (await organisations.admitted(agent)).serial, new_link_key()
    chain = await organisations.renew(agent, make_csr(key))
    mine = CredentialFiles.create(tmp_path / "mine", organisations.ca, key, chain)
    mine.install(await organisations.renew(agent, mine.request()), stage.now[0])
    assert mine.foreign(await organisations.certificates(agent)) == []
    stolen = parse_certificate(await renew(stage, **request_of(stage)))
    (found,) = mine.foreign(await organisations.certificates(agent))
    assert found["serial"] == serial(stolen)
    late = {"key": "ff" * 32, "serial": "ab"}
    before = {**late, "at": 1}  # before keys were remembered here
    assert mine.foreign([before, {**late, "at": "9"}, {**late, "at": None}, late, {}]) == []
    told = [entry.document for entry in stage.ledger.log if entry.kind == "certificate.renewed"]
    assert [one["by"] for one in told] == ["link", "link", "signing key"]
    assert {one["agent"] for one in told} == {agent}
    assert [one["old"] for one in told] == [first, *(one["serial"] for one in told[:2])]
    assert told[2]["serial"] == serial(stolen)


async def test_a_renewal_waits_for_no_log_that_stands_still(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leaf waits, durable: an agent that is locked out could else not help to set it right."""

    async def fenced(*_: Any) -> Any:
        raise SecureFlowError("fenced", "The log stands still.")

    monkeypatch.setattr(stage.ledger, "sequenced", fenced)
    await renew(stage, **request_of(stage))
    assert "certificate.renewed" not in stage.ledger.kinds
    await stage.ledger.caught_up()
    assert stage.ledger.kinds[-1] == "certificate.renewed"


async def test_a_flood_from_one_address_is_paced_and_locks_nobody_else_out(stage: Stage) -> None:
    before = stage.database.tables
    with refused("rate_limited"):
        for _ in range(1000):
            stage.services.renewals.challenge(stage.ids["bank-a.agent"], "203.0.113.9")
    guess = request_of(stage, SigningKey.generate(), address="203.0.113.9")
    told = [await code_of(renew(stage, **guess)) for _ in range(2 * AT_ONCE)]
    assert told == ["proof_refused"] * AT_ONCE + ["rate_limited"] * AT_ONCE
    assert stage.database.tables == before, "a stranger's requests leave nothing behind"
    await renew(stage, **request_of(stage))


async def test_three_hundred_agents_behind_one_address_are_back_within_minutes(
    stage: Stage,
) -> None:
    """All their certificates ran out in one night, and they dial as a running link does."""
    organisation, keys = "bank-a", [SigningKey.generate() for _ in range(300)]
    names = [f"spiffe://test.example/org/{organisation}/agent/a{n}" for n in range(300)]
    async with stage.database.begin() as work:
        for name, key in zip(names, keys, strict=True):
            agent = Agent(name, "agent", organisation, organisation, key.public, stage.now[0])
            await work.agents.add(agent)
        await work.commit()
    began, csr, renewals = stage.ticks[0], make_csr(new_link_key()), stage.services.renewals
    backoffs = [JitteredBackoff() for _ in names]
    waiting = [(began + backoffs[n].next(), n) for n in range(300)]
    heapq.heapify(waiting)
    while waiting:
        stage.ticks[0], n = heapq.heappop(waiting)
        try:
            nonce = renewals.challenge(names[n], "192.0.2.1").nonce
            proof = keys[n].sign(DOMAIN, renewal_body(names[n], nonce, csr))
            await renewals.renew(names[n], nonce, csr, proof, "192.0.2.1")
        except SecureFlowError as error:
            if error.code != "rate_limited":
                raise
            heapq.heappush(waiting, (stage.ticks[0] + backoffs[n].next(), n))
    assert stage.ticks[0] - began < 120


async def test_refused_proofs_leave_nothing_on_record_and_use_nobodys_share(stage: Stage) -> None:
    before = stage.database.tables
    for n in range(4 * PER_HOUR):
        with refused("proof_refused"):
            await renew(stage, **request_of(stage, SigningKey.generate(), address=f"203.0.113.{n}"))
        stage.ticks[0] += 10
    assert stage.database.tables == before
    await renew(stage, **request_of(stage))


async def test_one_identity_renews_a_few_times_an_hour(stage: Stage) -> None:
    for _ in range(PER_HOUR):
        stage.ticks[0] += 60
        await renew(stage, **request_of(stage))
    stage.ticks[0] += 60
    with refused("rate_limited"):
        await renew(stage, **request_of(stage))
    stage.now[0] += 3600
    stage.ticks[0] += 3600
    await renew(stage, **request_of(stage))


async def test_over_rest_bodies_are_small(stage: Stage) -> None:
    api = Api(stage)
    async with api.http:
        agent, csr = stage.ids["bank-a.agent"], make_csr(new_link_key())
        asked = await api.call("POST", "/renewals/challenge", json={"agent": agent})
        nonce = asked.json()["nonce"]
        signature = stage.keys["bank-a"].sign(DOMAIN, renewal_body(agent, nonce, csr))
        request = {"agent": agent, "nonce": nonce, "csr": csr, "signature": signature}
        large = await api.call("POST", "/renewals", json=request | {"csr": "x" * 9000})
        assert large.status_code == 413
        large = await api.call("POST", "/renewals/challenge", json={"agent": "x" * 2000})
        assert large.status_code == 413
        answer = await api.call("POST", "/renewals", json=request)
        assert answer.status_code == 201, answer.text
        assert spiffe_id(parse_certificate(answer.json()["certificate"])) == agent
