"""What was signed in settlements reaches the places that want it, once, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from peers.revenue_world import DAY, JOB, NAMES, PLACE, PROJECT, TERMS, Bank, RevenueWorld

from secureflow.agent.owner.settlements import OwnSettlements
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.owndeeds import AGAIN, OwnDeeds
from secureflow.application.ports.anchor import Outcome, Position, Ticket
from secureflow.application.ports.anchoroutbox import Verdict
from secureflow.engines.anchors import money, rules
from secureflow.engines.anchors.entries import (
    Confirm,
    Dispute,
    SetContributions,
    Settle,
    Split,
    currency_word,
)
from secureflow.engines.anchors.state import Member, found
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import InfrastructureError, SecureFlowError

WINDOW = 600


class Killed(BaseException):
    """The agent's process is gone."""


class Place:
    """A place that judges by the rules of every place."""

    def __init__(self, world: RevenueWorld, window: int = WINDOW) -> None:
        self.world = world
        keys = [b64decode(bank.key.public) for bank in world.banks.values()]
        members = [Member(key, key, ()) for key in keys]
        self.state = found(PLACE.place, members, window, checks=False)
        self.tickets = 0

    def carry(self, *names: str) -> dict[str, str]:
        """Bring what banks have queued; return of each kind of the last bank what it came to."""
        came: dict[str, str] = {}
        for name in names:
            came = self._carry(self.world.banks[name])
        return came

    def _carry(self, bank: Bank) -> dict[str, str]:
        queued = bank.store.queued_anchor_entries(PLACE.place, 1000)
        if not queued:
            return {}
        self.tickets += 1
        ticket, now = Ticket(f"{self.tickets:064x}", {}), self.world.clock()
        account = b64decode(bank.key.public)
        came = [rules.apply(self.state, one.entry, account, now) for one in queued]
        said = [Verdict(one.result, one.reason) for one in came]
        outcome = Outcome("final", Position(self.tickets, ticket.id), receipt={})
        with bank.store.transaction():
            numbers = [one.number for one in queued]
            assert bank.store.add_anchor_ticket(PLACE.place, ticket, numbers)
            bank.store.finish_anchor_ticket(PLACE.place, ticket.id, outcome, said, now)
        return {
            one.entry.kind: told.reason or told.result
            for one, told in zip(queued, said, strict=True)
        }

    def owed(self, payee: str) -> int:
        keys = {name: b64decode(bank.key.public) for name, bank in self.world.banks.items()}
        return money.owed(
            self.state, keys[TERMS["payer"]], keys[payee], currency_word(TERMS["currency"])
        )


@pytest.fixture(name="world")
async def _world(tmp_path: Path) -> AsyncIterator[RevenueWorld]:
    world = await RevenueWorld(tmp_path).start()
    yield world
    world.close()


async def test_places_get_it_that_want_it_and_later_ones_what_was_before(
    world: RevenueWorld,
) -> None:
    bank, woken = world.banks["bank-b"], list[bool]()
    bank.deeds.added = lambda: woken.append(True)
    heads = PLACE.model_copy(update={"name": "heads", "keeper": world.banks["bank-c"].key.public})
    heads = heads.model_copy(update={"events": ("heads",)})
    bank.places = [heads]
    await world.approved()
    assert (bank.store.anchor_entries(""), woken) == ([], [])
    bank.places = [heads, PLACE]
    await bank.commands.exchange()
    (sent,) = bank.store.anchor_entries("")
    assert (sent.place, type(sent.entry), woken) == (PLACE.place, SetContributions, [True])
    await bank.commands.exchange()
    assert (len(bank.store.anchor_entries("")), woken) == (1, [True])


async def test_a_vote_goes_before_a_dispute_that_was_signed_sooner(world: RevenueWorld) -> None:
    place, key = Place(world), await world.approved(("bank-a", "bank-b"))
    bank = world.banks["bank-c"]
    assert (await bank.commands.dispute(key, "my rows"))["state"] == "open"
    world.later(5)
    await bank.approve(key)
    place.carry("bank-a", "bank-b")
    assert place.carry("bank-c") == {"setContributions": "kept", "dispute": "kept"}


async def test_the_owner_sees_of_which_settlement_and_job_an_entry_is(world: RevenueWorld) -> None:
    key = await world.closed()
    bank = world.banks["bank-a"]
    await bank.commands.pay(key, "bank-b", 1, "invoice 7")
    told = [bank.store.opening(one.digest.hex()) for one in bank.sent]
    facts = {"project": PROJECT, "settlement": key}
    assert told == [
        {**facts, "act": "approve", "job": JOB},
        {**facts, "act": "close", "job": JOB},
        {**facts, "act": "pay"},  # whose text is kept, and erased, in one place
    ]


class Killing:
    """Ends an agent at a point of its way from the deed to the outbox."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def at(self, owner: type, name: str, *, before: bool) -> None:
        real = getattr(owner, name)

        def dying(*given: Any, **named: Any) -> Any:
            if not before:
                real(*given, **named)
            self._patch.setattr(owner, name, real)
            raise Killed

        self._patch.setattr(owner, name, dying)


POINTS = {
    "signed, the centre was not told": (OwnSettlements, "_keep", False),
    "the centre has it, its receipt is not kept": (OwnSettlements, "note_told", True),
    "the receipt is kept": (OwnSettlements, "note_told", False),
    "before the outbox": (OwnDeeds, "settled", True),
    "in the outbox, not committed": (OwnDeeds, "settled", False),
    "what it stands for is written, it is not": (RecordStore, "add_anchor_entries", True),
    "in the outbox": (OwnSettlements, "hand_over", False),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_between_deed_and_outbox_loses_and_doubles_nothing(
    world: RevenueWorld, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    owner, name, before = POINTS[point]
    key = await world.approved(("bank-a", "bank-c", "bank-d"))
    Killing(monkeypatch).at(owner, name, before=before)
    with pytest.raises(Killed):
        await world.banks["bank-b"].approve(key)
    bank = world.again("bank-b")
    for _ in range(3):
        await bank.commands.exchange()
        assert [type(one) for one in bank.sent] == [SetContributions]
    assert world.deeds(key) == {"approve": 4}
    (entry,) = bank.sent
    assert bank.store.opening(entry.digest.hex()) is not None
    world.later(31 * DAY)
    await world.settlements.close(world.admin, key)
    payer = world.banks["bank-a"]
    Killing(monkeypatch).at(owner, name, before=before)
    with pytest.raises(Killed):
        await payer.commands.pay(key, "bank-b", 5, "invoice 7")
    payer = world.again("bank-a")
    for _ in range(3):
        await payer.commands.exchange()
        assert [type(one) for one in payer.sent] == [SetContributions, Split, Settle]
    assert world.deeds(key)["pay"] == 1


async def test_a_place_owes_what_the_settlement_says_and_nothing_once_it_is_confirmed(
    world: RevenueWorld,
) -> None:
    place, key = Place(world), await world.closed()
    shown: Any = await world.banks["bank-a"].commands.show(key)
    assert len(shown["owed"]) == 3
    for bank in world.banks.values():
        await bank.commands.exchange()
    # Contributions and votes to split in one go: the place's own window is not over.
    assert place.carry(*NAMES) == {"setContributions": "known", "split": "window_open"}
    assert [place.owed(name) for name in NAMES] == [0, 0, 0, 0]
    world.later(WINDOW)
    for bank in world.banks.values():
        await bank.commands.every(PROJECT)
    assert place.carry(*NAMES) == {"split": "known"}
    for name in NAMES:
        assert place.owed(name) == shown["owed"].get(name, 0)
    for number, (payee, amount) in enumerate(shown["owed"].items()):
        paid: Any = await world.banks["bank-a"].commands.pay(key, payee, amount, f"no. {number}")
        reference = paid["deed"]["statement"]["reference"]
        # The confirmation is there before what it confirms, and comes again.
        await world.banks[payee].commands.confirm(key, "bank-a", reference)
        assert place.carry(payee) == {"confirm": "no_payment"}
        assert place.carry("bank-a") == {"settle": "kept"}
        assert place.owed(payee) == amount
        world.later(AGAIN)
        await world.banks[payee].commands.exchange()
        assert place.carry(payee) == {"confirm": "kept"}
        assert place.owed(payee) == 0
    assert await world.banks["bank-d"].state(key) == "paid"


async def test_what_was_refused_is_sent_again_only_while_it_may_be_taken(
    world: RevenueWorld,
) -> None:
    place = Place(world, 40 * DAY)
    await world.closed()
    bank, last = world.banks["bank-a"], world.banks["bank-d"]
    for one in world.banks.values():
        await one.commands.exchange()
    began, tries, said = world.clock(), list[int](), list[dict[str, str]]()
    assert place.carry(*NAMES) == {"setContributions": "known", "split": "window_open"}
    while (elapsed := world.clock() - began) < 90 * DAY:
        world.later(max(AGAIN // 2, elapsed // 8))
        await bank.commands.exchange()
        if bank.sent:
            tries.append(world.clock() - began)
            assert [type(one) for one in bank.sent] == [Split]
            said.append(place.carry("bank-a"))
    assert said[-1] == {"split": "kept"}
    assert said[:-1] == [{"split": "window_open"}] * (len(said) - 1)
    assert tries[0] == AGAIN
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert 5 < len(tries) < 20
    await last.commands.exchange()  # its vote on the shares came when they stood: no refusal
    assert [type(one) for one in last.sent] == [Split]


async def test_what_no_time_mends_is_not_sent_again(world: RevenueWorld) -> None:
    place, key = Place(world), await world.approved()
    place.carry(*NAMES)
    world.later(WINDOW)
    bank = world.banks["bank-d"]
    assert (await bank.commands.dispute(key, "my rows"))["state"] == "disputed"
    assert place.carry("bank-d") == {"dispute": "window_over"}
    for _ in range(10):
        world.later(DAY)
        await bank.commands.exchange()
        assert bank.sent == []


async def test_who_approved_nothing_still_confirms_at_the_place(world: RevenueWorld) -> None:
    key = await world.approved(("bank-a", "bank-b", "bank-c"))
    world.later(31 * DAY)
    await world.settlements.close(world.admin, key)
    paid: Any = await world.banks["bank-a"].commands.pay(key, "bank-d", 5, "invoice 7")
    reference = paid["deed"]["statement"]["reference"]
    bank = world.banks["bank-d"]
    await bank.commands.confirm(key, "bank-a", reference)
    await bank.commands.exchange()
    assert [type(one) for one in bank.sent] == [Confirm]  # and no vote


async def test_nobody_votes_to_split_other_amounts_than_it_computed(world: RevenueWorld) -> None:
    key = await world.closed()
    bank = world.banks["bank-d"]
    kept = bank.own.shelf.get(key)
    assert kept is not None
    assert kept.computed is not None
    other = replace(kept.computed, left_out={"job_other": "kind"})
    with bank.store.transaction():
        bank.own.shelf.keep(replace(kept, computed=other))
    for one in (bank, world.banks["bank-b"]):
        await one.commands.exchange()
    assert Split not in {type(one) for one in bank.sent}
    assert Split in {type(one) for one in world.banks["bank-b"].sent}


async def test_a_dispute_that_the_centre_refuses_reaches_the_place(world: RevenueWorld) -> None:
    key = await world.approved(("bank-a", "bank-b", "bank-c"))
    bank = world.banks["bank-d"]
    await bank.approve(key)

    def refuse(kind: str) -> None:
        if kind == "settlement.tell":
            raise SecureFlowError("settlement_not_possible", "It is too late.")

    bank.hands.refuse = refuse
    with pytest.raises(SecureFlowError):
        await bank.commands.dispute(key, "my rows")
    await bank.commands.exchange()
    assert [type(one) for one in bank.sent] == [SetContributions, Dispute]
    bank.hands.refuse = lambda kind: None
    world.later(31 * DAY)
    await world.settlements.close(world.admin, key)
    await bank.commands.exchange()
    assert Split not in {type(one) for one in bank.sent}  # who disputes does not vote to split
    await world.banks["bank-b"].commands.exchange()
    assert Split in {type(one) for one in world.banks["bank-b"].sent}


async def test_a_dispute_reaches_the_place_though_the_centre_never_answers(
    world: RevenueWorld,
) -> None:
    key = await world.approved()
    bank = world.banks["bank-d"]

    def silent(kind: str) -> None:
        if kind == "settlement.tell":
            raise InfrastructureError("unavailable", "The centre does not answer.")

    bank.hands.refuse = silent
    with pytest.raises(InfrastructureError):
        await bank.commands.dispute(key, "my rows")
    with pytest.raises(InfrastructureError):
        await bank.commands.exchange()
    assert [type(one) for one in bank.sent] == [SetContributions, Dispute]
