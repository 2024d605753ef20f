"""What the sender does when (`application.anchoring`), over the record and a played chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.application.anchoring import Anchoring, Pace
from secureflow.application.anchorverdicts import verdict_of
from secureflow.application.ports.anchor import Happened, Outcome, Ticket
from secureflow.application.ports.anchoroutbox import Verdict, key_of
from secureflow.engines.anchors import entries as e
from secureflow.kit.errors import SecureFlowError
from tests.chaos.virtual import VirtualLoop
from tests.peers.anchor_chain import LIMIT, Chain, ChainAnchor, lying, member, word
from tests.peers.anchor_schedules import QuickRecord, head

PLACE = "evm:1:00"
JOB = word("job")


class World:
    """One member's record and sender, and a chain."""

    def __init__(self, folder: Path, confirmations: int = 2, pace: Pace | None = None) -> None:
        self.store = QuickRecord(folder / "agent.db")
        self.members = [member(PLACE, name) for name in ("ann", "ben", "cy")]
        self.own = self.members[0].key.hex()
        self.chain = Chain(PLACE, self.members, confirmations=confirmations)
        self.anchor: Any = ChainAnchor(self.chain, self.members[0])
        self.outbox = RecordOutbox(self.store, self.hear)
        self.pace = pace or Pace(gather=1)
        self.told: list[Happened] = []
        self.places = [self.anchor]
        self.sender = self.made()

    def made(self) -> Anchoring:
        return Anchoring(self.outbox, self.places, self.own, self.now, self.pace)

    def now(self) -> int:
        return int(asyncio.get_running_loop().time())

    def hear(self, place: str, events: Any) -> None:
        self.told += events

    def add(self, *entries: e.Entry, again: bool = False) -> int:
        with self.store.transaction():
            places = [one.place for one in self.places]
            return self.store.add_anchor_entries(places, entries, self.now(), again=again)

    def states(self, *entries: e.Entry) -> list[str]:
        found = [self.store.anchor_entry(PLACE, one) for one in entries]
        return ["" if one is None else one.state for one in found]

    async def pooled(self) -> None:
        """Wait until a transaction waits for a block."""
        await self.when(lambda: bool(self.chain.pool))

    @staticmethod
    async def when(over: Callable[[], bool]) -> None:
        """Wait until something is so; no blocks come."""
        for _ in range(20_000):
            if over():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it never came about")

    async def until(self, over: Callable[[], bool], *, mine: float = 5.0) -> None:
        """Let blocks come until something is so."""
        for _ in range(2000):
            if over():
                return
            await asyncio.sleep(mine)
            self.chain.mine()
        raise AssertionError("it never came about")


def rounds(count: int, begin: int = 1) -> list[e.CommitRound]:
    return [
        e.CommitRound(JOB, at, word("model", at), bytes(32), bytes(32))
        for at in range(begin, begin + count)
    ]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Play a story on a virtual clock while the sender runs."""

    def played(story: Callable[[World], Awaitable[None]], **more: Any) -> None:
        loop = VirtualLoop(0)

        async def whole() -> None:
            world = World(tmp_path, **more)
            with closing(world.store):
                task = asyncio.create_task(world.sender.run())
                try:
                    await story(world)
                    assert not task.done()
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)

        try:
            loop.run_until_complete(whole())
        finally:
            loop.close()

    return played


def test_entries_are_gathered_in_order_and_end_with_a_receipt(play: Any) -> None:
    async def story(world: World) -> None:
        entries = rounds(LIMIT + 3)
        assert world.add(*entries) == len(entries)
        assert world.add(*entries) == 0
        await world.until(lambda: set(world.states(*entries)) == {"final"})
        rows = list(reversed(world.store.anchor_entries(PLACE, limit=100)))
        assert [one.entry for one in rows] == entries
        tickets = [one.ticket for one in rows]
        assert len(set(tickets)) == 2
        assert tickets[:LIMIT] == [tickets[0]] * LIMIT
        assert await world.anchor.checked(rows[0].receipt, entries[0])
        assert [one.entry for one in world.told] == entries
        assert all(one.position is not None and one.ended for one in rows)

    play(story)


def test_a_ticket_is_stored_before_it_leaves(play: Any) -> None:
    async def story(world: World) -> None:
        stored: list[list[str]] = []
        send = world.anchor.send

        async def watched(ticket: Ticket) -> None:
            stored.append([one.ticket.id for one in world.store.carried_anchor_entries(PLACE)])
            assert ticket.id in stored[-1]
            await send(ticket)

        world.anchor.send = watched
        world.add(*rounds(2))
        await world.until(lambda: bool(world.told))
        assert stored

    play(story)


def test_an_outage_of_hours_costs_lateness_and_few_questions(play: Any) -> None:
    async def story(world: World) -> None:
        (entry,) = rounds(1)
        world.chain.weather.down = True
        asked = 0
        happened = world.anchor.happened

        async def counted(*arguments: Any) -> Any:
            nonlocal asked
            asked += 1
            return await happened(*arguments)

        world.anchor.happened = counted
        world.add(entry)
        await asyncio.sleep(5 * 3600)
        assert 60 < asked < 300  # five hours of pauses of at most five minutes
        assert world.sender.troubles()[PLACE].code == "anchor_unavailable"
        world.sender.wake()  # which ends no pause after a failure
        before = asked
        await asyncio.sleep(1.0)
        assert asked <= before + 1
        world.chain.weather.down = False
        await world.until(lambda: world.states(entry) == ["final"])
        assert world.sender.troubles() == {}

    play(story)


def test_a_place_that_is_away_hinders_no_other(play: Any) -> None:
    async def story(world: World) -> None:
        name = "evm:2:00"
        other = Chain(name, [member(name, one) for one in ("ann", "ben")], confirmations=1)
        world.places.append(ChainAnchor(other, other.members[0]))
        world.sender = world.made()
        task = asyncio.create_task(world.sender.run())
        other.weather.down = True
        (entry,) = rounds(1)
        world.add(entry)
        try:
            await world.until(lambda: world.states(entry) == ["final"])
            late = world.store.anchor_entry(name, entry)
            assert late is not None
            assert late.state == "queued"
            assert list(world.sender.troubles()) == [name]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    play(story)


def test_an_error_that_nobody_foresaw_stops_neither_its_place_nor_another(play: Any) -> None:
    class Faulty(ChainAnchor):
        """A driver with a bug."""

        faults = 3

        async def happened(self, after: Any, limit: int = 500) -> Any:
            if self.faults:
                self.faults -= 1
                raise KeyError("a bug")
            return await super().happened(after, limit)

    async def story(world: World) -> None:
        name = "evm:2:00"
        other = Chain(name, [member(name, one) for one in ("ann", "ben")], confirmations=1)
        faulty = Faulty(other, other.members[0])
        world.places.append(faulty)
        world.sender = world.made()
        task = asyncio.create_task(world.sender.run())
        (entry,) = rounds(1)
        world.add(entry)
        try:
            await world.when(lambda: bool(world.sender.troubles()))
            assert {at: one.code for at, one in world.sender.troubles().items()} == {
                name: "internal"
            }
            await world.until(lambda: world.states(entry) == ["final"])

            def both() -> bool:
                other.mine()
                at_other = world.store.anchor_entry(name, entry)
                return at_other is not None and at_other.state == "final"

            await world.until(both)
            assert not faulty.faults
            assert not world.sender.troubles()
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    play(story)


def test_what_was_included_and_is_gone_is_sent_again(play: Any) -> None:
    async def story(world: World) -> None:
        (entry,) = rounds(1)
        world.add(entry)
        await world.until(lambda: world.states(entry) == ["included"])
        (ticket,) = await world.outbox.carried(PLACE)
        assert ticket.position is not None
        world.chain.reorganise(len(world.chain.blocks) - ticket.position.block, forget=True)
        await asyncio.sleep(5.0)
        assert world.states(entry) == ["sent"]
        await world.until(lambda: world.states(entry) == ["final"])
        assert len(world.told) == 1

    play(story)


def test_what_was_final_and_is_gone_is_looked_at_again(play: Any) -> None:
    async def story(world: World) -> None:
        (entry,) = rounds(1)
        world.add(entry)
        await world.until(lambda: world.states(entry) == ["final"])
        world.chain.reorganise(len(world.chain.blocks) - 1, forget=True)
        assert not world.chain.events()
        await world.until(lambda: bool(world.chain.events()))
        await world.until(lambda: world.states(entry) == ["final"])
        assert len(world.told) == 1  # the same transaction, told once

    play(story)


def test_a_lost_ticket_is_replaced_where_its_entries_were_in_the_order(play: Any) -> None:
    async def story(world: World) -> None:
        entries = rounds(3)
        world.add(entries[0], entries[1])
        await world.pooled()
        world.chain.invalid.update(world.chain.pool)
        world.add(entries[2])
        await world.until(lambda: world.states(*entries) == ["final"] * 3)
        assert [one.entry for one in world.told] == entries

    play(story)


def test_a_ticket_whose_predecessor_is_missing_is_replaced(play: Any) -> None:
    """A node calls a ticket lost that is included; after the next one, a block is taken back."""

    async def story(world: World) -> None:
        entries = rounds(2)
        world.add(entries[0])
        await world.pooled()
        world.chain.mine()
        world.chain.weather.lie = lying("lost")
        await world.when(lambda: world.states(entries[0]) == ["queued"])
        world.chain.weather.lie = None
        world.add(entries[1])
        await world.when(lambda: world.states(*entries) == ["sent"] * 2)
        world.chain.reorganise(len(world.chain.blocks) - 1, forget=True)
        assert [one.ticket.body["nonce"] for one in await world.outbox.carried(PLACE)] == [1]
        await world.until(lambda: world.states(*entries) == ["final"] * 2, mine=20.0)
        assert [one.entry for one in world.told] == entries

    play(story, pace=Pace(gather=1, patience=600.0))


def test_tickets_that_are_lost_again_and_again_are_made_ever_more_seldom(play: Any) -> None:
    async def story(world: World) -> None:
        (entry,) = rounds(1)
        world.chain.weather.lie = lying("lost")
        made: list[Ticket] = []
        prepare = world.anchor.prepare

        async def counted(*arguments: Any) -> Ticket:
            made.append(await prepare(*arguments))
            return made[-1]

        world.anchor.prepare = counted
        world.add(entry)
        await asyncio.sleep(3600.0)
        assert 5 < len(made) < 60
        world.chain.weather.lie = None
        await world.until(lambda: world.states(entry) == ["final"])

    play(story)


def test_no_ticket_is_made_before_the_earlier_ones_took_effect(play: Any) -> None:
    """One that is included in vain would let a later head overtake an earlier one."""

    async def story(world: World) -> None:
        world.add(head(0, 3))
        await world.pooled()
        world.chain.invalid.update(world.chain.pool)
        world.add(head(0, 5))
        await world.until(lambda: world.states(head(0, 3), head(0, 5)) == ["final"] * 2)
        assert [one.result for one in world.told] == ["kept", "kept"]

    play(story, confirmations=4)


def test_a_refusal_is_kept_with_its_reason_and_may_be_tried_again(play: Any) -> None:
    async def story(world: World) -> None:
        spend = e.Spend(word("d"), JOB, 5)
        world.add(spend)
        await world.until(lambda: world.states(spend) == ["refused"])
        kept = world.store.anchor_entry(PLACE, spend)
        assert kept is not None
        assert (kept.result, kept.reason) == ("refused", "not_committed")
        assert world.add(spend) == 0
        world.add(e.CommitDataset(word("d"), word("about"), 5))
        assert world.add(spend, again=True) == 1
        await world.until(lambda: world.states(spend) == ["final"])

    play(story, pace=Pace(gather=1, sure=30.0))


def test_a_refusal_is_believed_only_after_it_was_said_for_a_while(play: Any) -> None:
    """Nothing that the place tells everybody shows it."""

    async def story(world: World) -> None:
        spend = e.Spend(word("d"), JOB, 5)
        world.add(spend)
        for _ in range(40):
            await asyncio.sleep(5.0)
            world.chain.mine()
            assert world.states(spend) != ["refused"]
        await world.until(lambda: world.states(spend) == ["refused"])

    play(story, pace=Pace(gather=1, sure=600.0))


@pytest.mark.parametrize("lie", ["results", "early", "lost", "nothing"])
def test_a_node_that_lies_for_a_while_is_not_believed(play: Any, lie: str) -> None:
    async def story(world: World) -> None:
        entries = [*rounds(2), e.Spend(word("d"), JOB, 5)]
        world.chain.weather.lie = lying(lie)
        world.add(*entries)
        for _ in range(20):
            await asyncio.sleep(5.0)
            world.chain.mine()
            assert "refused" not in world.states(*entries[:2])
            assert world.states(entries[2]) != ["final"]
        world.chain.weather.lie = None
        await world.until(lambda: world.states(*entries) == ["final", "final", "refused"])
        assert sorted(key_of(one.entry) for one in world.told) == sorted(map(key_of, entries[:2]))

    play(story)


def test_a_node_that_invents_an_end_is_caught_by_the_events(play: Any) -> None:
    """It takes a ticket, forgets it, and says that all of it is kept."""

    async def story(world: World) -> None:
        (entry,) = rounds(1)
        world.chain.weather.forgetful = True
        world.chain.mine()
        tip = world.chain.blocks[-1]
        place = ("final", tip.number, tip.hash)

        def invented(_: Outcome) -> Outcome:
            from secureflow.application.ports.anchor import Position

            return Outcome(place[0], Position(tip.number, tip.hash), ("kept",), ("",), {}, 1)  # type: ignore[arg-type]

        world.chain.weather.lie = invented
        world.add(entry)
        await asyncio.sleep(600.0)
        assert world.states(entry) == ["included"]
        world.chain.weather = type(world.chain.weather)()
        await world.until(lambda: world.states(entry) == ["final"])

    play(story)


def test_a_refusal_that_the_events_contradict_is_corrected(play: Any) -> None:
    async def story(world: World) -> None:
        (entry,) = rounds(1)
        world.chain.weather.lie = lying("early")

        def refusing(outcome: Outcome) -> Outcome:
            return replace(lying("results")(outcome), state="final")

        world.chain.weather.lie = refusing
        world.add(entry)
        while world.states(entry) != ["refused"]:
            await asyncio.sleep(1.0)
            if world.chain.pool:
                world.chain.mine()  # included, and not final: no event tells of it
        world.chain.weather.lie = None
        await world.until(lambda: world.states(entry) == ["final"])
        row = world.store.anchor_entry(PLACE, entry)
        assert row is not None
        assert row.result == "kept"

    play(story, pace=Pace(gather=1, sure=5.0))


def test_a_final_outcome_that_comes_twice_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        (entry,) = rounds(1)
        world.add(entry)
        queued = await world.outbox.queued(PLACE, 5)
        ticket = Ticket("aa" * 32, {})
        assert await world.outbox.prepared(PLACE, ticket, [queued[0].number])
        assert not await world.outbox.prepared(PLACE, Ticket("bb" * 32, {}), [queued[0].number])
        outcome = Outcome("final", None, ("kept",), ("",), {"first": True}, 1)
        await world.outbox.finished(PLACE, ticket.id, outcome, [Verdict("kept")], 5)
        other = replace(outcome, results=("refused",), receipt={"second": True})
        await world.outbox.finished(PLACE, ticket.id, other, [Verdict("refused")], 9)
        await world.outbox.moved(PLACE, ticket.id, "sent", None)
        row = world.store.anchor_entry(PLACE, entry)
        assert row is not None
        assert (row.state, row.receipt, row.ended) == ("final", {"first": True}, 5)
        assert await world.outbox.carried(PLACE) == []
        world.store.close()

    asyncio.run(story())


def test_what_is_over_is_pruned_and_nothing_else(play: Any) -> None:
    async def story(world: World) -> None:
        entries = rounds(6)
        for one in entries:
            world.add(one)
            await world.until(lambda one=one: world.states(one) == ["final"])  # type: ignore[misc]
        (waiting,) = rounds(1, begin=50)
        world.chain.weather.down = True
        world.add(waiting)
        with world.store.transaction():
            assert world.store.prune_anchor_rows(PLACE, ended=2, events=3)
        assert world.states(*entries) == ["", "", "", "", "final", "final"]
        assert world.states(waiting) == ["queued"]
        assert len(world.store.anchor_events(PLACE)) == 3
        world.chain.weather.down = False
        assert world.add(entries[0]) == 1  # forgotten here, known there
        await world.until(lambda: world.states(entries[0], waiting) == ["final"] * 2)
        row = world.store.anchor_entry(PLACE, entries[0])
        assert row is not None
        assert row.result == "known"

    play(story)


def test_a_deed_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    with closing(QuickRecord(tmp_path / "agent.db")) as store:
        message = "the deed failed"

        def deed() -> None:
            with store.transaction():
                store.add_anchor_entries([PLACE], rounds(3), 1)
                raise SecureFlowError("internal", message)

        with pytest.raises(SecureFlowError):
            deed()
        assert store.anchor_entries(PLACE) == []
        with pytest.raises(RuntimeError, match="outside of a transaction"):
            store.add_anchor_entries([PLACE], rounds(1), 1)


def test_events_are_stored_with_the_cursor_or_not_at_all(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, confirmations=1)
        task = asyncio.create_task(world.sender.run())
        world.add(*rounds(1))
        await world.until(lambda: bool(world.told), mine=0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        page = await world.anchor.happened(None)
        broken = RecordOutbox(world.store, _fail)
        with world.store.transaction():
            world.store._write("DELETE FROM anchor_events")
            world.store.set_anchor_cursor(PLACE, None)
        with pytest.raises(SecureFlowError):
            await broken.heard(PLACE, page, world.own)
        assert world.store.anchor_events(PLACE) == []
        assert await broken.cursor(PLACE) is None
        world.store.close()

    asyncio.run(story())


def _fail(place: str, events: Any) -> None:
    raise SecureFlowError("internal", "what follows failed")


OWN = "aa"


@pytest.mark.parametrize(
    ("said", "tellers", "forgot", "expected"),
    [
        ("kept", {OWN}, False, "kept"),
        ("kept", {"bb"}, False, None),
        ("kept", set(), True, None),
        ("fork", {OWN}, False, "fork"),
        ("fork", set(), False, None),
        ("refused", set(), False, "refused"),
        ("refused", {"bb"}, False, "refused"),
        ("refused", {OWN}, False, "known"),
        ("known", {OWN}, False, "known"),
        ("known", {"bb"}, False, None),
        ("known", set(), False, None),
        ("known", set(), True, "known"),
    ],
)
def test_what_a_place_says_is_held_against_what_it_tells_everybody(
    said: Any, tellers: set[str], forgot: bool, expected: str | None
) -> None:
    entry = e.ApproveJob(JOB, word("spec"))
    found = verdict_of(entry, Verdict(said), frozenset(tellers), OWN, forgot=forgot)
    assert (None if found is None else found.result) == expected


KEY = word("key")
ANYBODYS = (
    head(0, 3),
    e.RegisterJob(JOB, word("spec")),
    e.SetContributions(JOB, 1, word("scores"), (KEY,), (e.WHOLE,), KEY),
    e.Split(JOB, 1, KEY, 5, e.currency_word("EUR")),
    e.Admit(KEY, KEY, (KEY, KEY)),
    e.Remove(KEY),
    e.Upgrade(KEY),
)


@pytest.mark.parametrize("entry", ANYBODYS, ids=lambda one: one.kind)
def test_heads_jobs_and_late_votes_are_known_whoever_said_them(entry: e.Entry) -> None:
    found = verdict_of(entry, Verdict("known"), frozenset({"bb"}), OWN, forgot=False)
    assert found == Verdict("known")
    assert verdict_of(entry, Verdict("known"), frozenset(), OWN, forgot=False) is None


def test_a_heads_key_is_without_its_signature() -> None:
    one = head(0, 3)
    assert key_of(one) == key_of(replace(one, signature=(word(1), word(2))))
    assert key_of(one) != key_of(head(0, 4))
