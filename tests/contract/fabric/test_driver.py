"""What the port promises, over a gateway that behaves."""

from __future__ import annotations

import asyncio

import pytest

from secureflow.engines.anchors.entries import (
    Entry,
    RegisterJob,
    Remove,
    currency_word,
)
from secureflow.kit.errors import SecureFlowError
from tests.peers.fabric_world import PLACE, Member, Network, head, sizes


async def test_entries_are_kept_and_read_back(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        assert anchor.place == PLACE
        entries: list[Entry] = [head(5, log=2), head(5, log=2), head(5, 9, log=2), head(4, log=2)]
        ticket = await anchor.prepare(entries, [])
        await anchor.send(ticket)
        outcome = await anchor.outcome(ticket)
        assert outcome.state == "final"
        assert outcome.results == ("kept", "known", "fork", "refused")
        assert outcome.reasons == ("", "", "", "smaller")
        assert outcome.position is not None
        assert outcome.depth >= 1
        page = await anchor.happened(None)
        mine = [one for one in page.events if one.transaction == ticket.id]
        assert [(one.entry, one.result) for one in mine] == [
            (entries[0], "kept"),
            (entries[2], "fork"),
        ]
        assert {one.sender for one in mine} == {network.members[0].public.hex()}
        found = await anchor.heads(bytes([2]) * 32)
        assert [(one.size, one.root[0]) for one in found] == [(5, 1), (5, 9)]
        assert found[0].position == outcome.position
        for entry, holds in ((entries[0], True), (entries[2], True), (entries[3], False)):
            assert await anchor.checked(outcome.receipt, entry) is holds
        assert not await anchor.checked({**outcome.receipt, "hash": "00" * 32}, entries[0])
        assert not await anchor.checked({**outcome.receipt, "transaction": "00" * 32}, entries[0])


async def test_a_second_copy_changes_nothing(network: Network) -> None:
    async with network.anchor(network.members[1]) as anchor:
        ticket = await anchor.prepare([head(1, log=3)], [])
        await anchor.send(ticket)
        await anchor.send(ticket)
        first = await anchor.outcome(ticket)
        await anchor.send(ticket)
        other = await anchor.prepare([head(2, log=3)], [])
        await anchor.send(other)  # a block after the copy's
        assert (await anchor.outcome(other)).state == "final"
        again = await anchor.outcome(ticket)
        assert (again.state, again.position, again.results) == ("final", first.position, ("kept",))
        assert network.codes().count("DUPLICATE_TXID") == 2
        page = await anchor.happened(None)
        assert sum(one.transaction == ticket.id for one in page.events) == 1


async def test_what_lost_a_race_is_lost_and_a_new_ticket_is_kept(network: Network) -> None:
    async with (
        network.anchor(network.members[0]) as first,
        network.anchor(network.members[1]) as second,
    ):
        tickets = [await one.prepare([head(7, log=4)], []) for one in (first, second)]
        await first.send(tickets[0])
        assert (await first.outcome(tickets[0])).state == "final"
        await second.send(tickets[1])
        assert (await second.outcome(tickets[1])).state == "lost"
        again = await second.prepare([head(7, log=4)], [])
        await second.send(again)
        assert (await second.outcome(again)).results == ("known",)


async def test_writers_of_different_keys_do_not_lose(network: Network) -> None:
    async with (
        network.anchor(network.members[0]) as first,
        network.anchor(network.members[1]) as second,
    ):
        network.do("hold")
        tickets = []
        for number, one in enumerate((first, second, first, second)):
            job = bytes([number]) * 32
            tickets.append(
                (one, await one.prepare([head(9 + number, log=5), RegisterJob(job, job)], []))
            )
        for one, ticket in tickets:
            await one.send(ticket)
        network.do("release")
        states = [(await one.outcome(ticket)).state for one, ticket in tickets]
        # A sender's own sizes are one key: its second transaction read what the first one wrote.
        assert states == ["final", "final", "lost", "lost"]


@pytest.mark.parametrize(("near", "log"), [(0, 6), (1000, 10)], ids=["streamed", "read"])
async def test_pages_resume_where_they_ended_even_within_a_batch(
    network: Network, near: int, log: int
) -> None:
    async with network.anchor(network.members[2], near=near) as anchor:
        for batch in ((1, 2, 3), (4, 5), (6,)):
            ticket = await anchor.prepare([head(one, log=log) for one in batch], [])
            await anchor.send(ticket)
            assert (await anchor.outcome(ticket)).state == "final"
        cursor, seen = None, list[int]()
        while len(seen) < 6:
            page = await anchor.happened(cursor, limit=2)
            cursor = page.cursor
            assert len(page.events) <= 2
            seen += sizes(page.events, log)
        assert seen == [1, 2, 3, 4, 5, 6]
        assert not (await anchor.happened(cursor)).events


async def test_another_channel_under_the_same_name_is_told(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        ticket = await anchor.prepare([head(1, log=11)], [])
        await anchor.send(ticket)
        assert (await anchor.outcome(ticket)).state == "final"
        page = await anchor.happened(None)
        assert page.events
        assert page.cursor is not None
        other = type(page.cursor)(page.cursor.block, "00" * 32, page.cursor.index)
        again = await anchor.happened(other)
        assert again.reorganised
        assert again.events == page.events


async def test_views_and_the_doctor(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        member = network.members[1].public
        assert await anchor.owed(member, member, currency_word("EUR")) == 0
        assert {one.member for one in await anchor.members()} == {
            one.public for one in network.members
        }
        assert network.members[2].admit() in await anchor.members()
        probe = await anchor.probe()
        assert probe.problem == ""
        assert ("members", "3") in probe.facts


async def test_a_stranger_is_refused_and_told(network: Network) -> None:
    stranger = Member(network.orgs[0], "stranger")
    async with network.anchor(stranger) as anchor:
        with pytest.raises(SecureFlowError) as refusal:
            await anchor.prepare([Remove(network.members[0].public)], [])
        assert refusal.value.code == "anchor_refused"
        assert "no member" in refusal.value.message
        assert "no member" in (await anchor.probe()).problem


async def test_many_at_once_are_kept_once_each(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:

        async def put(number: int) -> str:
            while True:
                ticket = await anchor.prepare([RegisterJob(bytes([7, number]) * 16, b"s" * 32)], [])
                await anchor.send(ticket)
                outcome = await anchor.outcome(ticket)
                if outcome.state == "final":
                    return outcome.results[0]

        assert await asyncio.gather(*map(put, range(20))) == ["kept"] * 20
