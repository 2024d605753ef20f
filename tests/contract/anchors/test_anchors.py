"""What every place promises (`application.ports.anchor`), over every driver.

The file, the contract on a real chain, the chaincode behind a gateway, and the chain of the
schedules, so that what these show holds for the others.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.agent.record.store import RecordStore
from secureflow.application.anchoring import Anchoring, Pace
from secureflow.application.ports.anchor import Anchor, Happened, Position
from secureflow.application.ports.anchoroutbox import key_of
from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors.judged import REASONS
from secureflow.engines.anchors.state import Member, bound
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.contract.anchors.drivers import DRIVERS, Place
from tests.peers.anchor_chain import word

EUR = e.currency_word("EUR")
_fresh = itertools.count()


@pytest.fixture(params=DRIVERS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with DRIVERS[request.param](tmp_path) as made:
        yield made


def head(size: int, root: str = "root", log: object = "log") -> e.AnchorHead:
    return e.AnchorHead(word(log), size, word(root, size), (word("r"), word("s")))


def rounds(count: int) -> list[e.CommitRound]:
    """Return so many deeds that nobody did before."""
    job = word("job", next(_fresh))
    return [
        e.CommitRound(job, at, word("model", at), bytes(32), bytes(32))
        for at in range(1, count + 1)
    ]


async def everything(anchor: Anchor, limit: int = 500) -> list[Happened]:
    """Read all events from the beginning, page after page."""
    found: list[Happened] = []
    cursor: Position | None = None
    while True:
        page = await anchor.happened(cursor, limit)
        assert not page.reorganised
        assert len(page.events) <= limit
        found += page.events
        if not page.events and page.cursor == cursor:
            return found
        cursor = page.cursor


async def test_an_entry_is_kept_and_told(place: Place) -> None:
    entries = rounds(3)
    ticket = await place.first.prepare(entries, [])
    await place.first.send(ticket)
    outcome = await place.end(place.first, ticket)
    assert outcome.state == "final"
    assert outcome.results == ("kept",) * 3
    assert outcome.position is not None
    assert outcome.depth >= 1
    assert await place.first.outcome(ticket) == await place.first.outcome(ticket)
    told = [one for one in await everything(place.second) if one.transaction == ticket.id]
    assert [one.entry for one in told] == entries
    assert {one.sender for one in told} == {place.keys[0].hex()}
    assert {one.result for one in told} == {"kept"}
    assert all(one.position.block == outcome.position.block for one in told)
    assert all(one.at > 0 for one in told)


async def test_a_receipt_holds_for_what_it_is_of(place: Place) -> None:
    kept, other = rounds(2)
    refused = e.Spend(word("never committed"), word("job"), 1)
    outcome = await place.do(place.first, kept, refused)
    assert await place.second.checked(outcome.receipt, kept)
    assert not await place.second.checked(outcome.receipt, other)
    assert not await place.second.checked(outcome.receipt, refused)
    broken: tuple[Any, ...] = (
        None,
        {},
        [],
        "x",
        {**dict(outcome.receipt), "transaction": "00" * 32},
    )
    for receipt in broken:
        assert not await place.second.checked(receipt, kept)


async def test_a_ticket_is_sent_again_without_harm(place: Place) -> None:
    (entry,) = rounds(1)
    ticket = await place.first.prepare([entry], [])
    for _ in range(3):
        await place.first.send(ticket)
    first = await place.end(place.first, ticket)
    await place.first.send(ticket)
    await place.advance()
    assert (await place.first.outcome(ticket)).results == first.results == ("kept",)
    again = await place.do(place.first, entry)
    assert again.results == ("known",)
    assert sum(key_of(one.entry) == key_of(entry) for one in await everything(place.first)) == 1


async def test_tickets_that_follow_one_another_are_kept_in_order(place: Place) -> None:
    log = word("log", next(_fresh))
    tickets: list[Any] = []
    for size in range(1, 5):
        ticket = await place.first.prepare([head(size, log=log)], tickets)
        await place.first.send(ticket)
        while (await place.first.outcome(ticket)).position is None:
            await place.advance()
        tickets.append(ticket)
    ends = [await place.end(place.first, one) for one in tickets]
    assert [one.results for one in ends] == [("kept",)] * 4
    told = [one.entry for one in await everything(place.second)]
    assert [one.size for one in told if isinstance(one, e.AnchorHead)] == [1, 2, 3, 4]


async def test_a_restarted_sender_takes_up_an_unfinished_ticket(place: Place) -> None:
    (entry,) = rounds(1)
    never_sent = await place.first.prepare([entry], [])
    again = place.open(place.keys[0])
    assert (await again.outcome(never_sent)).state == "waiting"
    await again.send(never_sent)
    restarted = place.open(place.keys[0])
    outcome = await place.end(restarted, never_sent)
    assert outcome.results == ("kept",)


async def test_events_are_read_page_by_page_from_any_cursor(place: Place) -> None:
    for _ in range(3):
        await place.do(place.first, *rounds(3))
        await place.do(place.second, *rounds(1))
    whole = await everything(place.first)
    assert len(whole) >= 12
    assert await everything(place.second, limit=1) == whole
    reader, cursor = place.open(place.keys[1]), None
    for at in range(len(whole)):
        page = await reader.happened(cursor, 1)
        if not page.events:  # a page may end at blocks without any
            page = await reader.happened(page.cursor, 1)
        assert [key_of(one.entry) for one in page.events] == [key_of(whole[at].entry)]
        cursor = page.cursor
        rest = await place.open(place.keys[0]).happened(cursor, 500)
        assert list(rest.events) == whole[at + 1 :]
    places = [(one.position.block, one.position.index) for one in whole]
    assert places == sorted(set(places))


async def test_a_fork_is_kept_and_told(place: Place) -> None:
    log = word("log", next(_fresh))
    ours, theirs = head(7, log=log), head(7, "other", log=log)
    assert (await place.do(place.first, ours)).results == ("kept",)
    assert (await place.do(place.second, ours)).results == ("known",)
    assert (await place.do(place.second, theirs)).results == ("fork",)
    heads = await place.first.heads(word(log))
    assert {(one.size, one.root) for one in heads} == {(7, ours.root), (7, theirs.root)}
    assert {one.sender for one in heads} == {one.hex() for one in place.keys[:2]}
    results = [one.result for one in await everything(place.first) if key_of(one.entry)
               in (key_of(ours), key_of(theirs))]  # fmt: skip
    assert results == ["kept", "fork"]
    assert await place.first.heads(word("no log")) == []


async def test_of_a_batch_the_others_go_on(place: Place) -> None:
    kept, more = rounds(2)
    refused = e.Spend(word("never committed"), word("job"), 1)
    outcome = await place.do(place.first, kept, refused, more)
    assert outcome.state == "final"
    assert outcome.results == ("kept", "refused", "kept")
    assert not outcome.reasons or outcome.reasons == ("", "not_committed", "")
    assert "not_committed" in REASONS
    told = {key_of(one.entry) for one in await everything(place.first)}
    assert key_of(kept) in told
    assert key_of(refused) not in told


async def test_a_whole_batch_is_taken(place: Place) -> None:
    entries = rounds(place.first.limit)
    outcome = await place.do(place.first, *entries)
    assert outcome.results == ("kept",) * len(entries)


async def test_one_who_is_no_member_keeps_nothing(place: Place) -> None:
    (entry,) = rounds(1)
    try:
        said = set((await place.do(place.stranger, entry)).results)
    except SecureFlowError as error:
        said = {error.code}
    assert said <= {"refused", "anchor_refused"}
    assert key_of(entry) not in {key_of(one.entry) for one in await everything(place.first)}


async def test_a_place_that_is_away_says_so_and_comes_back(place: Place) -> None:
    entry, later = rounds(2)
    ticket = await place.first.prepare([entry], [])
    anchor = place.first
    async with place.outage():
        for ask in (
            lambda: anchor.send(ticket),
            lambda: anchor.outcome(ticket),
            lambda: anchor.happened(None),
            lambda: anchor.heads(word("log")),
            lambda: anchor.owed(word(1), word(2), EUR),
            anchor.members,
        ):
            with pytest.raises(InfrastructureError, match="anchor_unavailable"):
                await ask()
        assert (await anchor.probe()).problem
    while True:
        try:
            await anchor.send(ticket)
            break
        except InfrastructureError:  # connections come back after a moment
            await asyncio.sleep(0.05)
    assert (await place.end(anchor, ticket)).results == ("kept",)
    assert (await place.do(anchor, later)).results == ("kept",)


async def test_the_members_are_those_whose_keys_signed_their_accounts(place: Place) -> None:
    found = await place.first.members()
    assert {one.member for one in found} == set(place.keys)
    for one in found:
        assert bound(place.first.place, Member(one.member, one.account, one.signature))
    assert place.first.account in {one.account for one in found}


async def test_a_place_in_use_has_no_problem(place: Place) -> None:
    probe = await place.first.probe()
    assert not probe.problem
    assert probe.facts


async def test_what_is_split_is_owed_until_the_payee_confirms(place: Place) -> None:
    if place.later is None:
        pytest.skip("the place's clock is nobody's to move: its window is an hour")
    job, members = word("job", next(_fresh)), tuple(place.keys)
    payer, payee = members[1], members[0]
    rest = 10_000 - len(members) + 1
    shares = (rest, *[1] * (len(members) - 1))
    vote = e.SetContributions(job, 1, word("scores"), members, shares, members[0])
    split = e.Split(job, 1, payer, 1_000_000, EUR)
    for one in place.members.values():
        await place.do(one, vote)
    await place.later(place.window + 1)
    for one in place.members.values():
        await place.do(one, split)
    expected = 1_000_000 * rest // 10_000
    assert await place.first.owed(payer, payee, EUR) == expected
    assert await place.first.owed(payee, payer, EUR) == 0
    paid = e.Settle(payee, 1000, EUR, word("iban", next(_fresh)))
    assert (await place.do(place.second, paid)).results == ("kept",)
    assert await place.first.owed(payer, payee, EUR) == expected
    await place.do(place.first, e.Confirm(payer, paid.reference))
    assert await place.second.owed(payer, payee, EUR) == expected - 1000


async def test_what_was_included_and_is_no_more_is_sent_again(place: Place) -> None:
    if place.reorganise is None:
        pytest.skip("nothing is taken back here")
    (entry,) = rounds(1)
    ticket = await place.first.prepare([entry], [])
    await place.first.send(ticket)
    await place.reorganise(ticket)
    gone = await place.first.outcome(ticket)
    assert (gone.state, gone.position) == ("waiting", None)
    await place.first.send(ticket)
    assert (await place.end(place.first, ticket)).results == ("kept",)
    told = [one for one in await everything(place.first) if key_of(one.entry) == key_of(entry)]
    assert [one.transaction for one in told] == [ticket.id]


async def test_an_outbox_brings_all_of_it_there_once(place: Place, tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "outbox.db")
    name, own = place.first.place, place.keys[0].hex()
    entries: list[e.Entry] = [*rounds(25), e.Spend(word("never committed"), word("job"), 1)]
    heard: Counter[str] = Counter()
    over = asyncio.Event()

    def hear(_: str, events: Any) -> None:
        heard.update(key_of(one.entry) for one in events)
        if all(heard[key_of(one)] for one in entries[:-1]):
            over.set()

    pace = Pace(gather=0, look=0.01, poll=0.05, idle=0.05, sure=0.0)
    with store.transaction():
        assert store.add_anchor_entries([name], entries, 1) == 26
        assert store.add_anchor_entries([name], entries, 1) == 0
    sending = asyncio.create_task(
        Anchoring(RecordOutbox(store, hear), [place.first], own, lambda: 2, pace).run()
    )
    try:
        while not over.is_set() or store.anchor_entries(name, ended=False):
            assert not sending.done()
            await place.advance()
            await asyncio.sleep(0.01)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    rows = store.anchor_entries(name, limit=100)
    assert {one.result for one in rows if one.entry in entries[:-1]} == {"kept"}
    refused = store.anchor_entry(name, entries[-1])
    assert refused is not None
    assert (refused.state, refused.result) == ("refused", "refused")
    assert set(heard.values()) == {1}
    for one in rows[1:4]:
        assert await place.second.checked(one.receipt, one.entry)
    store.close()
