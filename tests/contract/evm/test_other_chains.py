"""A chain as consortia run it: no base fee (berlin), a block a second, code for istanbul; and the
clock of GoQuorum's Raft, which counts nanoseconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers.chains import HALVES, carried, chain, finished, word, world

from secureflow.engines.anchors import entries as e

RAFT = 1_796_183_110_123_456_789


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options = ("--hardfork", "berlin", "--gas-price", "0", "--block-time", "1")
    with chain(*options, "--mixed-mining") as found:
        yield found


def head(size: int) -> e.AnchorHead:
    return e.AnchorHead(word("log"), size, word("root"), HALVES)


async def test_a_chain_without_base_fee_and_with_slow_blocks(url: str) -> None:
    async with world(url, members=1, target="istanbul") as here:
        anchor = here.anchor(here.parties[0])
        facts = dict((await anchor.probe()).facts)
        assert facts["base fee"] == "none"
        tickets = []
        for number in range(1, 4):  # the next is signed while the last one waits for its block
            tickets.append(await anchor.prepare([head(number)], tickets))
            await anchor.send(tickets[-1])
        assert not any(one.body["raw"].startswith("02") for one in tickets)
        for ticket in tickets:
            outcome = await finished(anchor, ticket)
            assert (outcome.state, outcome.results) == ("final", ("kept",))
        found = [one.entry for one in (await anchor.happened(None)).events]
        assert found == [head(1), head(2), head(3)]


async def test_nanoseconds_of_a_clock_are_brought_to_seconds(url: str) -> None:
    async with world(url, members=1, window=100, target="istanbul") as here:
        party, anchor = here.parties[0], here.anchor(here.parties[0])
        job, named = word("job"), (here.parties[0].key,)
        shares = e.SetContributions(job, 1, word(1), named, (e.WHOLE,), named[0])
        await here.rpc.ask("evm_setNextBlockTimestamp", RAFT)
        await carried(anchor, [shares])
        (event,) = (await anchor.happened(None)).events
        assert RAFT // 10**9 <= event.at <= RAFT // 10**9 + 3_600
        split = e.Split(job, 1, party.key, 1, e.currency_word("EUR"))
        assert (await carried(anchor, [split])).reasons == ("window_open",)
        await here.rpc.ask("evm_increaseTime", 100 * 10**9)
        await here.rpc.ask("evm_mine")
        assert (await carried(anchor, [split])).results == ("kept",)
