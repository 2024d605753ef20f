"""A place, or a member of it, that means harm to who anchors there: over the record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.application import anchoring
from secureflow.application.anchoring import Pace
from secureflow.application.anchorverdicts import EARLIER, verdict_of
from secureflow.application.ports.anchor import Happened, Outcome, Page, Position, Ticket
from secureflow.application.ports.anchoroutbox import Verdict, key_of
from secureflow.engines.anchors import entries as e
from tests.peers.anchor_chain import ChainAnchor, word
from tests.peers.anchor_schedules import QuickRecord, head
from tests.unit.application.anchors.test_anchoring import PLACE, World, play, rounds

__all__ = ("play",)

OWN, OTHER = "aa" * 32, "bb" * 32
Play = Callable[..., None]


def happened(entry: e.Entry, sender: str = OWN, *, block: int = 1, name: str = "01") -> Happened:
    at = Position(block, f"{block:064x}")
    return Happened(entry, sender, "kept", at, name * 32, 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QuickRecord]:
    with closing(QuickRecord(tmp_path / "agent.db")) as made:
        yield made


def done(work: Awaitable[Any]) -> Any:
    async def whole() -> Any:
        return await work

    return asyncio.run(whole())


def test_a_head_under_a_false_signature_is_not_ours(store: QuickRecord) -> None:
    """An accomplice of the centre copies a head before its owner sends it, with another signature:
    places keep both, and one that calls ours known shows it with our signature."""
    ours, outbox = head(0, 3), RecordOutbox(store)
    spoiled, said = replace(ours, signature=(word(1), word(2))), Verdict("known")

    def verdict(of: Verdict) -> Verdict | None:
        who = done(outbox.tellers(PLACE, [ours]))[key_of(ours)]
        return verdict_of(ours, of, who, OWN, forgot=False)

    done(outbox.heard(PLACE, Page((happened(spoiled, OTHER),), None), OWN))
    assert verdict(said) is None
    done(outbox.heard(PLACE, Page((happened(spoiled, OWN, name="03"),), None), OWN))
    assert verdict(Verdict("kept")) is None
    done(outbox.heard(PLACE, Page((happened(ours, "cc" * 32, name="02"),), None), OWN))
    assert verdict(said) == said


def test_our_head_is_final_though_another_spoiled_it(play: Play) -> None:
    async def story(world: World) -> None:
        ours = head(0, 3)
        spoiled = replace(ours, signature=(word(1), word(2)))
        accomplice = ChainAnchor(world.chain, world.members[1])
        await accomplice.send(await accomplice.prepare([spoiled], ()))
        world.chain.mine()
        world.add(ours)
        await world.until(lambda: world.states(ours) == ["final"])
        row = world.store.anchor_entry(PLACE, ours)
        assert row is not None
        assert (row.reason, row.proven) == ("", True)

    play(story, pace=Pace(gather=1, sure=30.0))


def _telling(pages: list[Page]) -> Any:
    async def asked(after: Position | None, limit: int = 500) -> Page:
        return pages.pop(0) if pages else Page((), after)

    return asked


def test_what_a_reorganisation_took_back_counts_no_more(store: QuickRecord) -> None:
    (entry,), outbox = rounds(1), RecordOutbox(store)

    def tellers() -> Any:
        return done(outbox.tellers(PLACE, [entry]))[key_of(entry)]

    done(outbox.heard(PLACE, Page((happened(entry),), None), OWN))
    assert tellers() == {OWN}
    done(outbox.heard(PLACE, Page((), None, reorganised=True), OWN))
    assert tellers() == set()
    assert store.anchor_events(PLACE) == []
    again = happened(entry, block=2)
    assert done(outbox.heard(PLACE, Page((again,), None), OWN)) == []  # told before
    assert tellers() == {OWN}
    assert [one for *_, one in store.anchor_events(PLACE)] == [again]


def test_a_kept_entry_that_its_own_ticket_refused_is_stated_to_nobody(store: QuickRecord) -> None:
    """The ticket's receipt says that it was refused: who states it would be convicted by it."""
    (entry,), outbox = rounds(1), RecordOutbox(store)
    assert verdict_of(
        entry, Verdict("refused", "closed"), frozenset({OWN}), OWN, forgot=False
    ) == Verdict("known", "closed")
    found = verdict_of(entry, Verdict("refused"), frozenset({OWN}), OWN, forgot=False)
    assert found == Verdict("known", EARLIER)
    with store.transaction():
        store.add_anchor_entries([PLACE], [entry], 1)
        (queued,) = store.queued_anchor_entries(PLACE, 5)
        assert store.add_anchor_ticket(PLACE, Ticket("ab" * 32, {}), [queued.number])
    outcome = Outcome("final", Position(1, "01" * 32), ("refused",), (), {"said": "refused"}, 1)
    done(outbox.finished(PLACE, "ab" * 32, outcome, [Verdict("refused")], 5))
    done(outbox.heard(PLACE, Page((happened(entry),), None), OWN))
    row = store.anchor_entry(PLACE, entry)
    assert row is not None
    assert (row.state, row.reason, row.proven) == ("final", EARLIER, False)
    assert replace(row, reason="").proven


def test_reorganisations_without_end_are_followed_ever_more_seldom(play: Play) -> None:
    async def story(world: World) -> None:
        entries = rounds(3)
        world.add(*entries)
        await world.until(lambda: set(world.states(*entries)) == {"final"})
        asked, tell = 0, world.anchor.happened

        async def moved(after: Position | None, limit: int = 500) -> Page:
            nonlocal asked
            asked += 1
            page: Page = await tell(None, limit)
            return replace(page, reorganised=True)

        world.anchor.happened = moved
        await asyncio.sleep(3600.0)
        assert 3 < asked < 20 * 40  # a turn asks up to twenty times
        world.anchor.happened = tell
        await world.until(lambda: set(world.states(*entries)) == {"final"})

    play(story)


def test_a_place_that_tells_without_end_does_not_fill_the_record(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchoring, "PRUNE_EVENTS", 50)

    async def story(world: World) -> None:
        told = 0
        most = 0

        async def endless(after: Position | None, limit: int = 500) -> Page:
            nonlocal told
            told += 1
            event = happened(e.RegisterJob(word(told), word(0)), OTHER, block=told)
            return Page((event,), event.position)

        async def prune(place: str, member: str) -> int:
            nonlocal most
            most = max(most, len(world.store.anchor_events(place, limit=10_000)))
            with world.store.transaction():
                return world.store.prune_anchor_rows(place, member, events=30)

        monkeypatch.setattr(world.outbox, "prune", prune)
        world.anchor.happened = endless
        await world.when(lambda: told > 400)
        assert 50 < most < 120

    play(story)


def test_nobodys_events_crowd_out_ones_own(store: QuickRecord) -> None:
    mine, outbox = rounds(2), RecordOutbox(store)
    done(outbox.heard(PLACE, Page(tuple(happened(one) for one in mine), None), OWN))
    spam = tuple(happened(e.RegisterJob(word(at), word(0)), OTHER, block=2 + at) for at in range(9))
    done(outbox.heard(PLACE, Page(spam, None), OWN))
    with store.transaction():
        assert store.prune_anchor_rows(PLACE, OWN, events=3)
    left = [one.sender for *_, one in store.anchor_events(PLACE)]
    assert sorted(left) == [OWN, OWN, OTHER, OTHER, OTHER]
    assert store.anchor_events_pruned(PLACE)


def test_what_is_on_its_way_is_counted_without_reading_it(store: QuickRecord) -> None:
    assert store.anchor_backlog(PLACE) == (0, None, None)
    with store.transaction():
        store.add_anchor_entries([PLACE], rounds(3), 7)
        store.add_anchor_entries([PLACE], rounds(2, begin=9), 9)
    first = store.queued_anchor_entries(PLACE, 1)[0].number
    assert store.anchor_backlog(PLACE) == (5, 7, first)


def test_what_was_added_while_the_clock_was_ahead_is_sent(play: Play) -> None:
    async def story(world: World) -> None:
        (entry,) = rounds(1)
        with world.store.transaction():
            world.store.add_anchor_entries([PLACE], [entry], world.now() + 365 * 86_400)
        await world.until(lambda: world.states(entry) == ["final"])

    play(story)


def test_an_outcome_that_changes_between_two_readings_is_not_final(play: Play) -> None:
    """One answer may be another chain's, or a lie for one asker; both must agree."""

    async def story(world: World) -> None:
        (entry,) = rounds(1)
        outcome, readings = world.anchor.outcome, 0

        async def changing(ticket: Ticket) -> Outcome:
            nonlocal readings
            found: Outcome = await outcome(ticket)
            if found.state == "final":
                readings += 1
                return replace(found, position=Position(readings, "01" * 32))
            return found

        world.anchor.outcome = changing
        world.add(entry)
        await world.until(lambda: readings > 20)
        assert world.states(entry) == ["included"]
        world.anchor.outcome = outcome
        await world.until(lambda: world.states(entry) == ["final"])

    play(story)


def test_an_outcome_that_speaks_of_fewer_entries_is_not_final(play: Play) -> None:
    async def story(world: World) -> None:
        entries = rounds(3)
        outcome, readings = world.anchor.outcome, 0

        async def short(ticket: Ticket) -> Outcome:
            nonlocal readings
            found: Outcome = await outcome(ticket)
            readings += found.state == "final"
            return replace(found, results=found.results[:2])

        world.anchor.outcome = short
        world.add(*entries)
        await world.until(lambda: readings > 20)
        assert set(world.states(*entries)) == {"included"}
        world.anchor.outcome = outcome
        await world.until(lambda: set(world.states(*entries)) == {"final"})

    play(story)
