"""A centre that is older than a change of the charter takes the newer one over from a member."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.kit.crypto import SigningKey
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused

THIEF = SigningKey.from_seed(b"\x21" * 32)


@pytest.fixture
async def newer(stage: Stage) -> SignedCharter:
    """The second version, which the members signed and the centre's database has forgotten."""
    before = await current(stage)
    shown = await stage.services.charters.propose(stage.operator, list(BANKS))
    await stage.sign_charter(shown, [{"organisation": name} for name in BANKS])
    after = await current(stage)
    assert after.charter.version == 2
    await put_back(stage, before)
    return after


async def current(stage: Stage) -> SignedCharter:
    found = await stage.services.charters.current()
    assert found is not None
    return found


async def put_back(stage: Stage, signed: SignedCharter | None) -> None:
    async with stage.services.begin() as work:
        await work.set_setting("charter", signed and signed.json())
        await work.commit()


def signed_by(stage: Stage, charter: Charter, *names: str) -> SignedCharter:
    signed = SignedCharter(charter)
    for name in names:
        signed = signed.sign(name, stage.keys[name])
    return signed


async def test_it_counts_by_the_signatures_of_the_version_before(
    stage: Stage, newer: SignedCharter
) -> None:
    charters = stage.services.charters
    await charters.propose(stage.operator, ["bank-a"])
    await charters.adopt_forgotten("bank-a", newer)
    assert await current(stage) == newer
    assert await charters.candidate() is None
    entry = stage.ledger.log[-1]
    assert entry.kind == "charter.adopted"
    assert entry.document["handed_by"] == "bank-a"
    size = len(stage.ledger.log)
    await charters.adopt_forgotten("bank-b", newer)  # known by then: nothing is recorded
    assert len(stage.ledger.log) == size


@pytest.mark.parametrize("many", [0, 1, 2])
async def test_too_few_of_the_members_before_are_not_enough(
    stage: Stage, newer: SignedCharter, many: int
) -> None:
    before = await current(stage)
    few = signed_by(stage, newer.charter, *BANKS[:many])  # of four
    with refused("charter_not_signed"):
        await stage.services.charters.adopt_forgotten("bank-a", few)
    assert await current(stage) == before


async def test_members_that_are_invented_sign_nothing(stage: Stage, newer: SignedCharter) -> None:
    before = await current(stage)
    invented = tuple(
        Member(f"new-{n}", "New", SigningKey.from_seed(bytes([n]) * 32).public) for n in range(9)
    )
    charter = replace(newer.charter, members=(*newer.charter.members, *invented))
    signed = signed_by(stage, charter, "bank-a")
    for n in range(9):
        signed = signed.sign(f"new-{n}", SigningKey.from_seed(bytes([n]) * 32))
    with refused("charter_not_signed"):
        await stage.services.charters.adopt_forgotten("bank-a", signed)
    assert await current(stage) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"previous": "ab" * 32},
        {"origin": "log.other"},
        {"log_key": THIEF.public},
        {"trust_domain": "other.example"},
    ],
)
async def test_what_does_not_follow_here_is_refused(
    stage: Stage, newer: SignedCharter, changes: dict[str, object]
) -> None:
    """Even with every signature: two versions of one number, another log, a gap."""
    before = await current(stage)
    charter = replace(newer.charter, **changes)  # type: ignore[arg-type]
    signed = signed_by(stage, charter, *before.charter.keys)
    with refused("charter_mismatch"):
        await stage.services.charters.adopt_forgotten("bank-a", signed)
    assert await current(stage) == before


async def test_of_two_changes_the_one_that_is_here_stays(
    stage: Stage, newer: SignedCharter
) -> None:
    other = signed_by(stage, replace(newer.charter, members=newer.charter.members[:2]), *BANKS)
    await stage.services.charters.adopt_forgotten("bank-a", newer)
    with refused("charter_mismatch"):
        await stage.services.charters.adopt_forgotten("bank-b", other)
    assert await current(stage) == newer


async def test_a_centre_without_a_charter_takes_the_first_one_of_who_is_enrolled(
    stage: Stage,
) -> None:
    first = await current(stage)
    await put_back(stage, None)
    charters = stage.services.charters
    # Whoever invents members can sign for all of them: the keys that are enrolled here count.
    members = (Member("bank-a", "A", first.charter.keys["bank-a"]), Member("x", "X", THIEF.public))
    invented = signed_by(stage, replace(first.charter, members=members), "bank-a")
    with refused("charter_mismatch", "x"):
        await charters.adopt_forgotten("bank-a", invented.sign("x", THIEF))
    few = SignedCharter(first.charter, dict(list(first.signatures.items())[1:]))
    with refused("charter_not_signed"):
        await charters.adopt_forgotten("bank-a", few)
    await charters.adopt_forgotten("bank-a", first)
    assert await current(stage) == first
