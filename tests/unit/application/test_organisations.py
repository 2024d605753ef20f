from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.pki import (
    RevocationList,
    check_leaf,
    make_csr,
    new_link_key,
    parse_certificate,
)
from tests.stage import NOW, Stage
from tests.unit.application.refusing import refused


async def invited(stage: Stage, organisation: str) -> str:
    _, text = await stage.services.organisations.invite(stage.operator, "agent", organisation)
    return text


async def try_enrol(
    stage: Stage, text: str, signer: SigningKey, name: str = "agent-1", **changes: str
) -> object:
    csr = make_csr(new_link_key())
    signed = proof_body(EnrolmentToken.parse(text).id, csr, signer.public)
    asked = {"csr": csr, "key": signer.public, "signature": signer.sign("enrol", signed), **changes}
    return await stage.services.organisations.enroll(text, name=name, **asked)


async def fresh(stage: Stage, slug: str = "bank-d") -> str:
    await stage.services.organisations.create(stage.operator, slug, "Bank D")
    return slug


async def test_an_enrolled_agent_gets_a_certificate_of_its_name(stage: Stage) -> None:
    text = await invited(stage, await fresh(stage))
    enrolled = await try_enrol(stage, text, SigningKey.generate())
    certificate = parse_certificate(enrolled.certificate)  # type: ignore[attr-defined]
    identity = check_leaf(certificate, "test.example", NOW, RevocationList())
    assert (identity.organisation, identity.name) == ("bank-d", "agent-1")
    assert stage.ledger.kinds[-1] == "enrolment.used"
    assert text not in str(stage.database.tables)


async def test_a_newcomer_is_told_the_name_that_the_log_goes_by_now(stage: Stage) -> None:
    """After a continuation, without a restart of the server."""
    text = await invited(stage, await fresh(stage))
    stage.ledger.origin = "test.example/log~2"
    enrolled = await try_enrol(stage, text, SigningKey.generate())
    told = {"origin": "test.example/log~2", "key": stage.ledger.public}
    assert enrolled.log == told  # type: ignore[attr-defined]


async def test_a_token_serves_once(stage: Stage) -> None:
    text = await invited(stage, await fresh(stage))
    key = SigningKey.generate()
    await try_enrol(stage, text, key)
    with refused("token_refused"):
        await try_enrol(stage, text, key)


@pytest.mark.parametrize("kind", ["agent", "enclave"])
async def test_an_answer_that_was_lost_is_made_up_for_by_a_new_token_alone(
    stage: Stage, kind: str
) -> None:
    """The newcomer has no certificate and stands on record: nobody needs to revoke it."""
    slug = await fresh(stage) if kind == "agent" else ""
    first, again = SigningKey.generate(), SigningKey.generate()
    if kind == "agent":
        again = first  # an agent keeps its key; an enclave makes another one
    for key in (first, again):
        _, text = await stage.services.organisations.invite(stage.operator, kind, slug)  # type: ignore[arg-type]
        enrolled = await try_enrol(stage, text, key)
    agent = await stage.services.organisations.admitted(enrolled.spiffe)  # type: ignore[attr-defined]
    assert (agent.key, agent.revoked) == (again.public, None)


async def test_a_token_expires(stage: Stage) -> None:
    text = await invited(stage, await fresh(stage))
    stage.now[0] += 8 * 86_400
    with refused("token_refused"):
        await try_enrol(stage, text, SigningKey.generate())


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: replace(token, secret="x" * 43),
        lambda token: replace(token, organisation="bank-a"),
        lambda token: replace(token, id="enr_unknown"),
    ],
)
async def test_forged_tokens_are_refused(
    stage: Stage, forge: Callable[[EnrolmentToken], EnrolmentToken]
) -> None:
    token = EnrolmentToken.parse(await invited(stage, await fresh(stage)))
    with refused("token_refused"):
        await try_enrol(stage, forge(token).encode(), SigningKey.generate())
    await try_enrol(stage, token.encode(), SigningKey.generate())


async def test_a_signing_key_must_be_proven(stage: Stage) -> None:
    text = await invited(stage, await fresh(stage))
    mine, anothers = SigningKey.generate(), SigningKey.generate()
    with refused("proof_refused"):
        await try_enrol(stage, text, mine, key=anothers.public)
    with refused("proof_refused"):
        await try_enrol(stage, text, mine, csr=make_csr(new_link_key()))
    with refused("proof_refused"):
        await try_enrol(stage, text, mine, key="", signature="")
    await try_enrol(stage, text, mine)


async def test_one_key_one_organisation_and_one_agent_each(stage: Stage) -> None:
    text = await invited(stage, await fresh(stage))
    with refused("already_exists", "another organisation"):
        await try_enrol(stage, text, stage.keys["bank-a"])
    await try_enrol(stage, text, SigningKey.generate())
    with refused("already_exists", "has one agent"):
        await try_enrol(stage, await invited(stage, "bank-d"), SigningKey.generate(), "agent-2")


async def test_revocation_is_for_good(stage: Stage) -> None:
    organisations = stage.services.organisations
    spiffe = stage.ids["bank-a.agent"]
    assert (await organisations.admitted(spiffe)).party == "bank-a"
    await organisations.renew(spiffe, make_csr(new_link_key()))
    await organisations.revoke(stage.admin("bank-a"), spiffe)
    assert [agent.id for agent in stage.expelled] == [spiffe]
    with refused("certificate_revoked"):
        await organisations.admitted(spiffe)
    with refused("certificate_revoked"):
        await organisations.renew(spiffe, make_csr(new_link_key()))
    # Older certificates under the name would live again if it could be enrolled again.
    with refused("already_exists", "revoked"):
        await try_enrol(stage, await invited(stage, "bank-a"), stage.keys["bank-a"])
    await try_enrol(stage, await invited(stage, "bank-a"), stage.keys["bank-a"], "agent-2")


async def test_an_unknown_agent_is_not_admitted(stage: Stage) -> None:
    with refused("certificate_revoked"):
        await stage.services.organisations.admitted("spiffe://test.example/enclave/unknown")


async def test_agents_are_invisible_across_organisations(stage: Stage) -> None:
    organisations = stage.services.organisations
    page = await organisations.agents(stage.admin("bank-a"))
    assert [agent.organisation for agent in page.items] == ["bank-a"]
    with refused("not_found"):
        await organisations.revoke(stage.admin("bank-a"), stage.ids["outsider.agent"])
    with refused("not_found"):
        await organisations.invite(stage.admin("bank-a"), "agent", "outsider")
    with refused("not_found"):
        await organisations.invite(stage.admin("bank-a"), "enclave", "")
    parties = await organisations.parties(stage.scientist("bank-a"), stage.services.courier)
    assert [status.party for status in parties] == ["bank-a", "bank-b", "bank-c"]
    parties = await organisations.parties(stage.operator, stage.services.courier)
    assert len(parties) == 4


@pytest.mark.parametrize("keyless", [True, False])
async def test_an_enclave_proves_the_key_that_it_brings(stage: Stage, keyless: bool) -> None:
    """One of an older version brings none, and cannot renew by itself."""
    _, text = await stage.services.organisations.invite(stage.operator, "enclave", "")
    key = SigningKey.generate()
    with refused("proof_refused"):
        await try_enrol(stage, text, key, signature=key.sign("enrol", {}))
    none = {"key": "", "signature": ""} if keyless else {}
    enrolled = await try_enrol(stage, text, key, "enclave-1", **none)
    agent = await stage.services.organisations.admitted(enrolled.spiffe)  # type: ignore[attr-defined]
    assert (agent.party, agent.key) == ("enclave", "" if keyless else key.public)
    assert agent.id == "spiffe://test.example/enclave/enclave-1"


async def test_a_disabled_organisation_is_out_until_it_is_enabled(stage: Stage) -> None:
    organisations, spiffe = stage.services.organisations, stage.ids["bank-a.agent"]
    bearer = await stage.bearer(stage.admin("bank-a"))
    with refused("forbidden"):
        await organisations.set_disabled(stage.admin("bank-a"), "bank-b", True)
    with refused("not_found"):
        await organisations.set_disabled(stage.operator, "bank-z", True)
    assert (await organisations.set_disabled(stage.operator, "bank-a", True)).disabled
    assert stage.told_disabled == [["bank-a"]]
    with refused("unauthenticated"):
        await stage.services.tokens.authenticate(bearer)
    with refused("organisation_disabled", "org enable bank-a"):
        await organisations.admitted(spiffe)
    await organisations.set_disabled(stage.operator, "bank-a", True)  # again changes nothing
    assert stage.ledger.kinds[-1:] == ["organisation.disabled"]
    assert stage.ledger.kinds.count("organisation.disabled") == 1
    await organisations.set_disabled(stage.operator, "bank-a", False)
    assert stage.ledger.kinds[-1] == "organisation.enabled"
    assert stage.told_disabled[-1] == []
    assert (await organisations.admitted(spiffe)).id == spiffe
    await stage.services.tokens.authenticate(bearer)


@pytest.mark.parametrize("slug", ["server", "enclave", "Bank", "a b", "", "x" * 64])
async def test_reserved_and_malformed_names_are_refused(stage: Stage, slug: str) -> None:
    with refused("invalid_name"):
        await stage.services.organisations.create(stage.operator, slug, "X")


async def test_tokens_must_fit_their_kind(stage: Stage) -> None:
    for kind, organisation in (("agent", ""), ("enclave", "bank-a")):
        with refused("invalid_request"):
            await stage.services.organisations.invite(stage.operator, kind, organisation)  # type: ignore[arg-type]
