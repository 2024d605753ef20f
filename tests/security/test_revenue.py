"""A hostile centre, payer and payee around settlements: what they alter is refused and accused."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from peers.revenue_world import (
    BANKS,
    DAY,
    JOB,
    LOG,
    NAMES,
    NOW,
    PROJECT,
    TERMS,
    RevenueWorld,
    scored_bundle,
)

from secureflow.engines.anchors.entries import Confirm, Dispute, SetContributions, Settle, Split
from secureflow.engines.revenue.agreement import KIND, Agreement
from secureflow.engines.revenue.deeds import CENTRE, Deed, parse_deed
from secureflow.kit.errors import SecureFlowError


@pytest.fixture(name="world")
async def _world(tmp_path: Path) -> AsyncIterator[RevenueWorld]:
    world = await RevenueWorld(tmp_path).start()
    yield world
    world.close()


async def refused(call: Awaitable[Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await call
    return caught.value


async def accused(world: RevenueWorld, call: Awaitable[Any], by: str = "bank-b") -> str:
    """Return the code of a refusal of which the bank keeps the evidence."""
    error = await refused(call)
    kept = [json.loads(one.read_text())["code"] for one in world.banks[by].evidence()]
    assert error.code in kept
    deeds = [one for one in world.banks[by].store.actions() if one["action"] == "accused"]
    assert deeds[0]["facts"]["code"] == error.code
    return error.code


def altered_computed(kind: str, body: Any, answer: Any) -> Any:
    return answer | {"computed": "00" * 32} if kind == "settlement.get" else answer


async def test_the_whole_course_is_exact_and_every_deed_a_leaf(world: RevenueWorld) -> None:
    key = await world.closed()
    payer, payee = world.banks["bank-a"].commands, world.banks["bank-b"].commands
    for bank, amount in (("bank-b", 27_990), ("bank-c", 9000), ("bank-d", 9010)):
        paid = await payer.pay(key, bank, amount, f"invoice {bank}")
        reference = paid["deed"]["statement"]["reference"]  # type: ignore[index,call-overload]
        assert paid["state"] == "closed"
        told = await world.banks[bank].commands.confirm(key, "bank-a", reference)
    assert told["state"] == "paid"
    assert await payee.every(PROJECT) == await payer.every(PROJECT)
    assert world.deeds(key) == {"approve": 4, "close": 1, "pay": 3, "confirm": 3}
    await world.ledger.caught_up()
    assert sum(kind.startswith("settlement.") for kind in world.kinds()) == 12
    for bank in world.banks.values():
        await bank.commands.exchange()
    sent = [type(one) for one in world.banks["bank-a"].sent]
    assert sent == [SetContributions, Split, Settle, Settle, Settle]
    assert {type(one) for one in world.banks["bank-b"].sent} == {SetContributions, Split, Confirm}
    assert all("invoice" not in str(one.document) for one in world.ledger.log)


async def test_an_altered_score_is_refused_and_accused(world: RevenueWorld) -> None:
    key = await world.open()
    bundle = copy.deepcopy(world.audit.bundles[JOB])
    (outcome,) = [one for one in bundle["entries"] if one["leaf"]["leaf"]["kind"] == "job.finished"]
    outcome["document"]["contribution"]["document"]["scores"]["bank-b"]["score"] = 0.9
    honest, world.audit.bundles[JOB] = world.audit.bundles[JOB], bundle
    error = await refused(world.banks["bank-b"].approve(key))
    assert error.code == "evidence_not_verified"  # the record proves nothing: nobody pays by it
    assert world.deeds(key) == {}
    # Scores that the enclave never named, in a record that others made: the bank's own end names
    # those that it verified.
    world.audit.bundles[JOB] = honest
    own = world.banks["bank-b"]
    _remember_own(world, own, honest)
    other = scored_bundle(seconds=0.5)
    world.audit.bundles[JOB] = other
    code = await accused(world, own.approve(key))
    assert code == "settlement_altered"
    assert world.deeds(key) == {"accuse": 1}
    world.audit.bundles[JOB] = honest
    (accusation,) = (await world.banks["bank-c"].commands.show(key))["accusations"]  # type: ignore[misc]
    assert accusation == {"by": "bank-b", "code": "settlement_altered"}


def _remember_own(world: RevenueWorld, bank: Any, bundle: Any) -> None:
    """Give a bank the leaves of the job that it signed, as its own record has them."""
    from secureflow.agent.record.records import OwnLeaf
    from secureflow.engines.ledger.leaves import leaf_from_json

    with bank.store.transaction():
        for one in bundle["entries"]:
            leaf = leaf_from_json(one["leaf"])
            if leaf.leaf.author == bank.name and leaf.leaf.job == JOB:
                bundled = {name: one[name] for name in ("leaf", "document", "salt")}
                bank.store.add_leaf(OwnLeaf(leaf.hash(), JOB, leaf.leaf.kind, bundled))
                bank.store.prove_leaf(leaf.hash(), one["index"])


async def test_the_own_leaves_confirm_an_honest_record(world: RevenueWorld) -> None:
    bank = world.banks["bank-b"]
    _remember_own(world, bank, world.audit.bundles[JOB])
    assert (await bank.approve(await world.open()))["state"] == "open"


async def test_an_altered_split_is_refused_and_accused(world: RevenueWorld) -> None:
    key = await world.open()
    bank = world.banks["bank-b"]
    bank.hands.twist = altered_computed
    assert await accused(world, bank.approve(key)) == "settlement_altered"
    bank.hands.twist = lambda kind, body, answer: answer
    assert "approve" not in world.deeds(key)


async def test_a_record_without_what_parties_signed_is_none(world: RevenueWorld) -> None:
    key = await world.open()
    bundle = copy.deepcopy(world.audit.bundles[JOB])
    for one in bundle["entries"]:
        if one["leaf"]["leaf"]["kind"] == "update":
            del one["document"], one["salt"]
    world.audit.bundles[JOB] = bundle
    error = await refused(world.banks["bank-b"].approve(key))
    assert error.code == "evidence_not_verified"


async def test_an_altered_agreement_is_refused_and_accused(world: RevenueWorld) -> None:
    bank = world.banks["bank-b"]
    (pinned,) = bank.commands.assembly.agreements.pinned(PROJECT)
    body = pinned.agreement.json() | {"floor": 0}
    forged = {"agreement": body, "signatures": dict(pinned.signatures)}

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind == "revenue.get" and asked["version"] == 1:
            return answer | {"agreement": forged}
        return answer

    bank.hands.twist = twist
    assert await accused(world, bank.commands.agreement(PROJECT)) == "agreement_altered"


async def test_keys_that_the_charter_has_not_are_refused(world: RevenueWorld) -> None:
    bank = world.banks["bank-b"]
    (pinned,) = bank.commands.assembly.agreements.pinned(PROJECT)
    members = [one | {"key": LOG.public} if one["organisation"] == "bank-d" else one
               for one in pinned.agreement.json()["members"]]  # fmt: skip
    body = pinned.agreement.json() | {
        "members": members, "version": 2, "previous": pinned.agreement.digest
    }  # fmt: skip
    made = Agreement.from_json(body)
    signatures = {name: BANKS[name].sign(KIND, made.json()) for name in NAMES if name != "bank-d"}
    signatures["bank-d"] = LOG.sign(KIND, made.json())
    forged = {"agreement": made.json(), "signatures": signatures}

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        return answer | {"agreement": forged} if asked.get("version") == 2 else answer

    bank.hands.twist = twist
    assert await accused(world, bank.commands.agreement(PROJECT)) == "agreement_altered"
    assert len(bank.commands.assembly.agreements.pinned(PROJECT)) == 1


async def test_a_replayed_approval_of_another_settlement_is_none(world: RevenueWorld) -> None:
    first = await world.approved(("bank-c",))
    second = await world.open(replaces=first)
    (deed,) = [one for one in _deeds(world) if one.organisation == "bank-c"]
    value = deed.json()
    value["statement"]["settlement"] = second
    forged = {"deed": value, "receipt": {}}

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind == "settlement.get" and asked["settlement"] == second:
            return answer | {"deeds": [forged], "count": 1}
        return answer

    world.banks["bank-b"].hands.twist = twist
    error = await accused(world, world.banks["bank-b"].commands.every(PROJECT))
    assert error == "settlement_deed_forged"
    # As it was signed, it is not a deed of the other settlement, whoever tells it.
    told = await refused(world.settlements.tell("bank-b", deed.json()))
    assert told.code == "not_found"
    assert (await world.settlements.tell("bank-c", deed.json()))["leaf"]
    assert world.deeds(second) == {"accuse": 1}


def _deeds(world: RevenueWorld) -> list[Deed]:
    rows = world.database.tables.rows["revenue"].values()
    return [parse_deed(one.body) for one in rows if one.kind == "deed"]


async def test_a_dropped_dispute_is_accused_with_the_centres_receipt(world: RevenueWorld) -> None:
    key = await world.approved()
    bank = world.banks["bank-b"]
    assert (await bank.commands.dispute(key, "rows"))["state"] == "disputed"

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind != "settlement.get":
            return answer
        left = [one for one in answer["deeds"] if one["deed"]["statement"]["act"] != "dispute"]
        return answer | {"deeds": left, "count": len(left)}

    world.twist_all(twist)
    error = await accused(world, bank.commands.every(PROJECT))
    assert error == "settlement_deed_dropped"
    (evidence,) = bank.evidence()
    receipt = json.loads(evidence.read_text())["details"]["receipt"]
    from secureflow.engines.ledger.leaves import commitment, leaf_from_json, verify

    leaf = leaf_from_json(receipt["leaf"])  # convinces a stranger: the log's own signature
    assert verify(leaf, LOG.public)
    assert commitment(bytes.fromhex(receipt["salt"]), receipt["document"]) == leaf.leaf.commitment
    assert receipt["document"]["statement"]["act"] == "dispute"


async def test_a_settlement_that_the_centre_hides_is_missed(world: RevenueWorld) -> None:
    await world.approved(("bank-b",))
    bank = world.banks["bank-b"]
    bank.hands.twist = lambda kind, asked, answer: (
        {"settlements": []} if kind == "settlement.list" else answer
    )
    assert (await refused(bank.commands.every(PROJECT))).code == "settlement_deed_dropped"


async def test_closing_early_or_over_a_dispute_is_accused(world: RevenueWorld) -> None:
    key = await world.approved()
    bank = world.banks["bank-b"]
    (computed,) = {one.facts["computed"] for one in _deeds(world)}
    early = Deed("close", PROJECT, key, CENTRE, NOW + DAY, {"computed": computed}).sign(LOG)

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind != "settlement.get":
            return answer
        more = [*answer["deeds"], {"deed": early.json(), "receipt": {}}]
        return answer | {"deeds": more, "count": len(more)}

    bank.hands.twist = twist
    assert await accused(world, bank.commands.every(PROJECT)) == "settlement_closed_early"
    other = world.banks["bank-c"]
    await other.commands.dispute(key, "rows")
    world.later(31 * DAY)
    error = await refused(world.settlements.close(world.admin, key))
    assert error.code == "settlement_not_possible"
    early = Deed("close", PROJECT, key, CENTRE, world.now[0], {"computed": computed}).sign(LOG)
    other.hands.twist = twist
    code = await accused(world, other.commands.every(PROJECT), "bank-c")
    assert code == "settlement_closed_early"
    assert not [one for bank in world.banks.values() for one in bank.sent if isinstance(one, Split)]


async def test_a_swapped_payee_and_a_hostile_payer_pay_nothing(world: RevenueWorld) -> None:
    key = await world.closed()
    payer = world.banks["bank-a"].commands
    for payee, amount in (("bank-a", 1), ("bank-b", 27_991), ("bank-z", 5)):
        error = await refused(payer.pay(key, payee, amount, "x"))
        assert error.code == "settlement_not_possible"
    assert (await refused(payer.pay(key, "bank-b", 0, "x"))).code == "malformed_settlement"
    other = world.banks["bank-b"].commands
    assert (await refused(other.pay(key, "bank-c", 5, "x"))).code == ("settlement_not_possible")
    paid = await payer.pay(key, "bank-b", 20_000, "first")
    again = await payer.pay(key, "bank-b", 20_000, "first")
    assert again["deed"] == paid["deed"]  # one reference is one payment
    assert (await refused(payer.pay(key, "bank-b", 7990, "first"))).code == ("settlement_differs")
    # Stated and unconfirmed counts: no more can be stated than is owed.
    assert (await refused(payer.pay(key, "bank-b", 7991, "second"))).code == (
        "settlement_not_possible"
    )
    reference = paid["deed"]["statement"]["reference"]  # type: ignore[index,call-overload]
    swapped = world.banks["bank-c"].commands
    assert (await refused(swapped.confirm(key, "bank-a", reference))).code == (
        "settlement_not_possible"
    )

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        for one in answer.get("deeds", ()):
            if one["deed"]["statement"]["act"] == "pay":
                one["deed"]["statement"]["payee"] = "bank-c"
        return answer

    world.banks["bank-c"].hands.twist = twist
    code = await accused(world, swapped.every(PROJECT), "bank-c")
    assert code == "settlement_deed_forged"
    assert world.deeds(key)["pay"] == 1


async def test_an_amount_that_the_payer_did_not_approve_is_not_owed(world: RevenueWorld) -> None:
    key = await world.approved(("bank-b", "bank-c", "bank-d"), entered=10**9)
    assert await world.banks["bank-b"].state(key) == "open"
    await world.banks["bank-a"].approve(key)
    assert await world.banks["bank-b"].state(key) == "approved"


async def test_a_payee_that_approves_a_job_twice_is_refused_here(world: RevenueWorld) -> None:
    first = await world.approved()
    error = await refused(world.open())
    assert error.code == "settlement_not_possible"
    bank = world.banks["bank-b"]
    # A centre that pays a job again shows another settlement of it; the own record knows the first.
    shown = await world.settlements.preview(world.admin, PROJECT, [JOB], replaces=first)
    loose = shown.stored.settlement.json() | {"replaces": "", "version": 1}
    from secureflow.engines.revenue.settlement import Settlement, computed

    forged = Settlement.from_json(loose)
    records = await world.services.job_records.evidence([JOB], PROJECT)
    result = computed(shown.agreement.agreement, forged, records)

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind == "settlement.list":
            return {"settlements": [first, forged.id]}
        return answer

    real = bank.hands.call

    async def call(kind: str, body: dict[str, Any]) -> Any:
        if kind == "settlement.get" and body["settlement"] == forged.id:
            return {
                "settlement": forged.json(), "computed": result.digest, "deeds": [], "count": 0
            }  # fmt: skip
        return await real(kind, body)

    bank.hands.twist, bank.hands.call = twist, call  # type: ignore[method-assign]
    error = await refused(bank.commands.approve(forged.id, result.digest))
    assert error.code == "settlement_not_possible"


async def test_retries_and_outages_double_and_lose_nothing(world: RevenueWorld) -> None:
    key = await world.open()
    bank = world.banks["bank-b"]
    shown: Any = await bank.commands.show(key)
    real = bank.hands.call

    async def lost(kind: str, body: dict[str, Any]) -> Any:
        answer = await real(kind, body)
        if kind == "settlement.tell":
            bank.hands.down = True
            await real(kind, body)  # the answer is lost on its way
        return answer

    bank.hands.call = lost  # type: ignore[method-assign]
    assert (await refused(bank.commands.approve(key, shown["digest"]))).code == ("unavailable")
    bank.hands.call, bank.hands.down = real, False  # type: ignore[method-assign]
    world.later(60)
    for _ in range(3):
        await bank.commands.exchange()
        await bank.commands.approve(key, shown["digest"])
    assert world.deeds(key) == {"approve": 1}
    assert [type(one) for one in bank.sent] == [SetContributions]
    (deed,) = _deeds(world)
    for _ in range(3):
        await world.settlements.tell("bank-b", deed.json())
    assert world.deeds(key) == {"approve": 1}


async def test_a_restored_record_knows_its_deeds_again(world: RevenueWorld, tmp_path: Path) -> None:
    key = await world.approved()
    old = world.banks["bank-b"]
    from peers.revenue_world import Bank

    fresh = Bank("bank-b", world.services, world.clock, tmp_path / "restored")
    try:
        await fresh.commands.agreement(PROJECT)
        await fresh.approve(key)
        assert fresh.own.shelf.get(key).approved  # type: ignore[union-attr]
        assert world.deeds(key) == {"approve": 4}
        assert await fresh.state(key) == await old.state(key) == "approved"
    finally:
        fresh.store.close()


async def test_a_dispute_before_the_quorum_holds_and_is_sent_once_it_stands(
    world: RevenueWorld,
) -> None:
    key = await world.open()
    bank = world.banks["bank-d"]
    assert (await bank.commands.dispute(key, "my rows"))["state"] == "open"
    for name in ("bank-a", "bank-b", "bank-c"):
        told = await world.banks[name].approve(key)
    assert told["state"] == "disputed"
    await bank.approve(key)
    await bank.commands.exchange()
    assert {type(one) for one in bank.sent} == {SetContributions, Dispute}
    await bank.commands.withdraw(key)
    assert await bank.state(key) == "approved"
    # Not the first one again, which would look as if a new one was signed.
    error = await refused(bank.commands.dispute(key, "my rows after all"))
    assert error.code == "settlement_not_possible"


async def test_a_replacement_that_is_approved_supersedes(world: RevenueWorld) -> None:
    first = await world.approved()
    await world.banks["bank-b"].commands.dispute(first, "too little")
    second = await world.approved(entered=5000, replaces=first)
    assert await world.banks["bank-c"].state(first) == "superseded"
    assert await world.banks["bank-c"].state(second) == "approved"
    votes = [one for one in world.banks["bank-c"].sent if isinstance(one, SetContributions)]
    assert [one.version for one in votes] == [1, 2]
    world.later(31 * DAY)
    assert (await refused(world.settlements.close(world.admin, first))).code == (
        "settlement_not_possible"
    )
    shown = await world.settlements.close(world.admin, second)
    assert shown.standing.state == "closed"
    assert shown.stored.computed.amount == 105_000


async def test_nobody_but_members_reads_or_tells_anything(world: RevenueWorld) -> None:
    from peers.revenue_world import Hands

    key = await world.approved()
    (deed, *_) = _deeds(world)
    stranger = Hands(world.services, "outsider")
    bodies: dict[str, dict[str, Any]] = {
        "revenue.get": {"project": PROJECT, "version": 1},
        "revenue.sign": {"project": PROJECT, "digest": "0" * 64, "signature": "x"},
        "settlement.list": {"project": PROJECT},
        "settlement.get": {"settlement": key, "start": 0},
        "settlement.tell": {"deed": deed.json()},
    }
    for kind, body in bodies.items():
        assert (await refused(stranger.call(kind, body))).code == "not_found", kind


async def test_an_agreement_is_signed_by_its_whole_digest_only(world: RevenueWorld) -> None:
    await world.agreements.draft(world.admin, PROJECT, {**TERMS, "floor": 700}, {"bank-c": 50})
    bank = world.banks["bank-b"]
    shown: Any = await bank.commands.agreement(PROJECT)
    digest = shown["candidate"]["digest"]
    for wrong in ("", digest[:32], digest[:-1] + ("0" if digest[-1] != "0" else "1")):
        error = await refused(bank.commands.sign(PROJECT, wrong))
        assert error.code == "agreement_not_confirmed"
    for name in ("bank-b", "bank-c"):
        await world.banks[name].sign()
    assert len(bank.commands.assembly.agreements.pinned(PROJECT)) == 1
    await world.banks["bank-d"].sign()
    for name in ("bank-b", "bank-a"):
        await world.banks[name].commands.agreement(PROJECT)
        pinned = world.banks[name].commands.assembly.agreements.pinned(PROJECT)
        assert [one.agreement.version for one in pinned] == [1, 2]
        assert pinned[1].agreement.floor == 700


async def test_a_deed_for_an_earlier_time_changes_nothing_that_stands(world: RevenueWorld) -> None:
    key = await world.approved(("bank-a", "bank-b"))
    world.later(5000)
    await world.banks["bank-c"].approve(key)  # from now on it can be disputed
    (computed,) = {one.facts["computed"] for one in _deeds(world)}
    for moment in (NOW - 9000, NOW + 9000):
        deed = Deed("approve", PROJECT, key, "bank-d", moment, {"computed": computed})
        told = world.settlements.tell("bank-d", deed.sign(BANKS["bank-d"]).json())
        assert (await refused(told)).code == "settlement_not_possible"
    assert world.deeds(key) == {"approve": 3}


async def test_amounts_are_approved_by_their_whole_digest_only(world: RevenueWorld) -> None:
    key = await world.open()
    bank = world.banks["bank-b"]
    shown: Any = await bank.commands.show(key)
    for wrong in ("", shown["digest"][:32], "0" * 64):
        error = await refused(bank.commands.approve(key, wrong))
        assert error.code == "agreement_not_confirmed"
    assert world.deeds(key) == {}


async def test_a_version_that_too_few_signed_is_not_pinned(world: RevenueWorld) -> None:
    bank = world.banks["bank-b"]
    own = bank.commands.assembly.agreements
    (pinned,) = own.pinned(PROJECT)
    body = pinned.agreement.json() | {"version": 2, "previous": pinned.agreement.digest, "floor": 0}
    signatures = {name: BANKS[name].sign(KIND, body) for name in NAMES[:2]}
    forged = {"agreement": body, "signatures": signatures}

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        return answer | {"agreement": forged} if asked.get("version") == 2 else answer

    bank.hands.twist = twist
    await bank.commands.agreement(PROJECT)
    assert own.pinned(PROJECT) == [pinned]


async def test_a_record_that_agrees_with_everybody_but_the_own_one(world: RevenueWorld) -> None:
    """A centre with colluding members makes a whole other record, and proposes by it."""
    bank = world.banks["bank-b"]
    _remember_own(world, bank, world.audit.bundles[JOB])
    world.audit.bundles[JOB] = scored_bundle(seconds=0.5)
    key = await world.open()
    assert await accused(world, bank.approve(key)) == "settlement_altered"
    assert (await world.banks["bank-c"].approve(key))["state"] == "open"  # it took no such part


async def test_the_centre_takes_no_deed_that_its_member_did_not_sign(world: RevenueWorld) -> None:
    from peers.revenue_world import Hands

    key = await world.open()
    facts = {"computed": "ab" * 32}
    forged = Deed("approve", PROJECT, key, "bank-b", NOW, facts).sign(BANKS["bank-c"])
    error = await refused(world.settlements.tell("bank-b", forged.json()))
    assert error.code == "settlement_deed_forged"
    strange = Deed("approve", PROJECT, key, "outsider", NOW, facts).sign(BANKS["bank-c"])
    told = Hands(world.services, "outsider").call("settlement.tell", {"deed": strange.json()})
    assert (await refused(told)).code == "not_found"
    assert world.deeds(key) == {}


async def test_a_job_of_another_project_is_none_that_anybody_asks_about(
    world: RevenueWorld,
) -> None:
    """A preview reads records as the operator: it must not tell of others' jobs."""
    foreign = scored_bundle()
    foreign["spec"] = foreign["spec"] | {"project": "prj_ffffffffffffffffffff"}
    world.audit.bundles["job_foreign"] = foreign
    told = []
    for job in ("job_foreign", "job_nowhere"):
        error = await refused(world.settlements.preview(world.admin, PROJECT, [job]))
        told.append((error.code, error.message.replace(job, "")))
    assert told[0][0] == told[1][0] == "not_found"


async def _joined(world: RevenueWorld, folder: Path) -> tuple[Any, Any]:
    """Let bank-c's key change and bank-e join: a charter, and the next version's draft."""
    from dataclasses import replace

    from peers.revenue_world import CHARTER, CURRENT, SIGNED_CHARTER, Bank, Membership

    from secureflow.domain.charter import Member, SignedCharter
    from secureflow.kit.crypto import SigningKey

    keys = {**BANKS, "bank-c": SigningKey.generate(), "bank-e": SigningKey.generate()}
    members = tuple(Member(name, name, key.public) for name, key in keys.items())
    later = SignedCharter(replace(CHARTER, version=2, members=members, previous=CHARTER.digest))
    for name, key in keys.items():
        later = later.sign(name, key)
    async with world.database.begin() as work:
        await work.set_setting(CURRENT, later.json())
        project = await work.projects.find(PROJECT)
        more = (*project.members, Membership("bank-e", "active", NOW))
        await work.projects.save(replace(project, members=more))
        await work.commit()
    for name in ("bank-a", "bank-b", "bank-d"):
        world.banks[name].commands.assembly.context.charter.pin(later)
    made = {}
    for name in ("bank-c", "bank-e"):
        made[name] = Bank(
            name, world.services, world.clock, folder / f"{name}-2", keys[name], later
        )
    await world.agreements.draft(world.admin, PROJECT, TERMS, {})
    assert SIGNED_CHARTER.charter == CHARTER
    return made["bank-c"], made["bank-e"]


async def test_who_joins_after_a_key_changed_takes_part_and_accuses_nobody(
    world: RevenueWorld, tmp_path: Path
) -> None:
    """It never knew the charter under which the first version was signed."""
    changed, joined = await _joined(world, tmp_path)
    try:
        for bank in (*(world.banks[one] for one in ("bank-a", "bank-b", "bank-d")), changed):
            await bank.sign()
        assert joined.commands.assembly.agreements.pinned(PROJECT) == []
        await joined.sign()
        for bank in (joined, changed):
            await bank.commands.agreement(PROJECT)
            pinned = bank.commands.assembly.agreements.pinned(PROJECT)
            assert [one.agreement.version for one in pinned] == [1, 2]
            assert bank.evidence() == []
    finally:
        joined.store.close()
        changed.store.close()


async def test_what_a_newcomer_is_shown_of_before_binds_nobody_alone(
    world: RevenueWorld, tmp_path: Path
) -> None:
    changed, joined = await _joined(world, tmp_path)
    try:
        (pinned,) = world.banks["bank-a"].commands.assembly.agreements.pinned(PROJECT)
        key = LOG
        body = pinned.agreement.json() | {
            "members": [{"organisation": "bank-z", "key": key.public, "quality": 100}],
            "rounding": "bank-z", "payer": "bank-z",
        }  # fmt: skip
        forged = {"agreement": body, "signatures": {"bank-z": key.sign(KIND, body)}}

        def twist(kind: str, asked: Any, answer: Any) -> Any:
            if kind == "revenue.get":
                return {"agreement": forged if asked["version"] == 1 else None, "candidate": None}
            return answer

        joined.hands.twist = twist
        await joined.commands.agreement(PROJECT)
        assert joined.commands.assembly.agreements.pinned(PROJECT) == []
        joined.hands.twist = lambda kind, asked, answer: answer
        for bank in (*(world.banks[one] for one in ("bank-a", "bank-b", "bank-d")), changed):
            await bank.sign()
        await joined.sign()
        await joined.commands.agreement(PROJECT)
        known = joined.commands.assembly.agreements.pinned(PROJECT)
        assert known[0] == pinned
    finally:
        joined.store.close()
        changed.store.close()
