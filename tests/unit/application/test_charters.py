from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.domain.users import Role
from secureflow.kit import crypto
from secureflow.kit.crypto import SigningKey
from tests.stage import BANKS, Stage, empty_stage
from tests.unit.application.refusing import refused


@pytest.fixture
async def enrolled(tmp_path: Path) -> Stage:
    """Three enrolled organisations without a charter."""
    stage = empty_stage(tmp_path)
    await stage.add_person("", Role.PLATFORM_ADMIN)
    for bank in BANKS:
        await stage.services.organisations.create(stage.operator, bank, bank)
        await stage.add_person(bank, Role.ORGANISATION_ADMIN)
        await stage.enrol(bank)
    return stage


async def test_the_first_charter_needs_every_member(enrolled: Stage) -> None:
    charters = enrolled.services.charters
    shown = await charters.propose(enrolled.operator)
    members = list(shown["charter"]["members"])
    assert [member["organisation"] for member in members] == list(BANKS)
    await enrolled.sign_charter(shown, members[:2])
    assert await charters.current() is None
    with refused("not_found"):
        await charters.show(enrolled.admin("bank-a"))
    await enrolled.sign_charter(shown, members[2:])
    current = await charters.show(enrolled.admin("bank-a"))
    assert current["digest"] == shown["digest"]
    assert len(current["words"].split()) == 12
    assert await charters.candidate() is None
    assert enrolled.ledger.kinds[-1] == "charter.adopted"


async def test_each_signature_of_the_first_charter_is_verified_twice_at_most(
    enrolled: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it comes and when all are there: not again with each one that follows."""
    verified: list[str] = []
    real = crypto.holds

    def noted(public: str, message: bytes, signature: str) -> bool:
        verified.append(public)
        return real(public, message, signature)

    monkeypatch.setattr(crypto, "holds", noted)
    shown = await enrolled.services.charters.propose(enrolled.operator)
    await enrolled.sign_charter(shown, list(shown["charter"]["members"]))
    assert await enrolled.services.charters.current() is not None
    assert len(verified) == 2 * len(BANKS)


async def test_a_change_needs_more_than_two_thirds_of_the_pinned_members(stage: Stage) -> None:
    before = await stage.services.charters.current()
    shown = await stage.services.charters.propose(stage.operator, list(BANKS))
    members = list(shown["charter"]["members"])
    assert shown["charter"]["version"] == 2
    await stage.sign_charter(shown, members[:2])  # 2 of the 4 pinned ones
    assert await stage.services.charters.current() == before
    await stage.sign_charter(shown, members[2:])  # 3 of 4
    after = await stage.services.charters.current()
    assert after is not None
    assert after.charter.digest == shown["digest"]


async def test_members_may_sign_what_is_adopted_already(stage: Stage) -> None:
    """A change is adopted before all have signed; newcomers count who signs it later."""
    charters = stage.services.charters
    before = await charters.current()
    assert before is not None
    shown = await charters.propose(stage.operator, list(BANKS))
    late = BANKS[-1]
    for name in before.charter.keys.keys() - {late}:
        early = stage.keys[name].sign("charter", shown["charter"])
        await charters.sign(stage.operator, name, shown["digest"], early)
    adopted = await charters.current()
    assert adopted is not None
    assert adopted.charter.digest == shown["digest"]
    assert late not in adopted.signatures
    signature = stage.keys[late].sign("charter", shown["charter"])
    with refused("signature_refused"):
        forged = SigningKey.generate().sign("charter", shown["charter"])
        await charters.sign(stage.operator, late, shown["digest"], forged)
    after = await charters.sign(stage.operator, late, shown["digest"], signature)
    assert late in after["signatures"]
    assert await charters.candidate() is None


async def test_a_signature_must_hold_and_be_for_this_candidate(enrolled: Stage) -> None:
    charters = enrolled.services.charters
    shown = await charters.propose(enrolled.operator)
    admin = enrolled.admin("bank-a")
    body, digest = shown["charter"], shown["digest"]
    forged = SigningKey.generate().sign("charter", body)
    with refused("signature_refused"):
        await charters.sign(admin, "bank-a", digest, forged)
    good = enrolled.keys["bank-a"].sign("charter", body)
    with refused("charter_mismatch"):
        await charters.sign(admin, "bank-a", "0" * 64, good)
    with refused("not_found"):
        await charters.sign(admin, "bank-b", digest, good)
    with refused("signature_refused"):
        await charters.sign(enrolled.operator, "bank-b", digest, good)
    signed = await charters.sign(enrolled.operator, "bank-a", digest, good)
    assert list(signed["signatures"]) == ["bank-a"]


async def test_a_new_proposal_drops_old_signatures(enrolled: Stage) -> None:
    charters = enrolled.services.charters
    shown = await charters.propose(enrolled.operator)
    await enrolled.sign_charter(shown, list(shown["charter"]["members"])[:1])
    again = await charters.propose(enrolled.operator, ["bank-a", "bank-b"])
    assert again["signatures"] == {}
    with refused("charter_mismatch"):
        await enrolled.sign_charter(shown, list(shown["charter"]["members"])[1:2])


async def test_only_enrolled_organisations_become_members(enrolled: Stage) -> None:
    charters = enrolled.services.charters
    with refused("not_enrolled", "nobody"):
        await charters.propose(enrolled.operator, ["bank-a", "nobody"])
    with refused("not_enrolled"):
        await charters.propose(enrolled.operator, [])
    with refused("forbidden"):
        await charters.propose(enrolled.admin("bank-a"))
