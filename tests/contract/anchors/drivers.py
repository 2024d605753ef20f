"""Places for the contract suite: members' views of one place, and what can be done to it.

A further driver is one more entry in `DRIVERS`: a function that yields a `Place`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from secureflow.adapters.anchors.file import FileAnchor
from secureflow.application.ports.anchor import Anchor, Outcome, Ticket
from secureflow.engines.anchors.entries import Entry
from secureflow.kit.boundedhttp import BoundedHttp
from secureflow.kit.crypto import SigningKey
from tests.peers import chains
from tests.peers.anchor_chain import Chain, ChainAnchor, member
from tests.peers.fabric_world import WINDOW, Network
from tests.peers.filekeeper import URL, FileKeeper
from tests.peers.filekeeper import _Lossy as Lossy

DISPUTED = 100
"""Seconds for which shares may be disputed, where a driver does not say otherwise."""


@dataclass
class Place:
    """One place with at least three members.

    Args:
        members: each one's view, by its charter key.
        open: makes a member's view anew, as a restarted agent does.
        stranger: the view of one who is no member.
        outage: has the place away inside the block.
        advance: lets blocks come.
        later: lets the place's clock go on by seconds; None where it is nobody's to move.
        window: of disputes.
        reorganise: takes back the newest blocks that are not final; None where nothing is taken
            back.
    """

    members: dict[bytes, Anchor]
    open: Callable[[bytes], Anchor]
    stranger: Anchor
    outage: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    advance: Callable[[], Awaitable[None]]
    later: Callable[[int], Awaitable[None]] | None
    window: int = DISPUTED
    reorganise: Callable[[Ticket], Awaitable[None]] | None = None

    @property
    def keys(self) -> list[bytes]:
        """The members' charter keys, ascending."""
        return sorted(self.members)

    @property
    def first(self) -> Anchor:
        return self.members[self.keys[0]]

    @property
    def second(self) -> Anchor:
        return self.members[self.keys[1]]

    async def end(self, anchor: Anchor, ticket: Ticket) -> Outcome:
        """Wait until a ticket is final or lost."""
        while (outcome := await anchor.outcome(ticket)).state == "waiting":
            await self.advance()
        return outcome

    async def do(self, anchor: Anchor, *entries: Entry) -> Outcome:
        """Send entries as one ticket, and wait for its end."""
        ticket = await anchor.prepare(entries, [])
        await anchor.send(ticket)
        return await self.end(anchor, ticket)


@contextlib.asynccontextmanager
async def simulated(folder: Path) -> AsyncIterator[Place]:
    """The chain in this process, with two blocks until something is final."""
    name = "evm:1:sim"
    members = [member(name, one) for one in ("ann", "ben", "cy", "dee")]
    chain = Chain(name, members, DISPUTED, confirmations=2)
    by_key = {one.key: one for one in members}

    @contextlib.asynccontextmanager
    async def outage() -> AsyncIterator[None]:
        chain.weather.down = True
        yield
        chain.weather.down = False

    async def advance() -> None:
        chain.mine()

    async def later(seconds: int) -> None:
        chain.ahead += seconds
        chain.mine()

    async def reorganise(ticket: Ticket) -> None:
        chain.mine()
        assert chain.find(ticket.id) is not None
        chain.reorganise(1, forget=True)

    yield Place(
        {key: ChainAnchor(chain, one) for key, one in by_key.items()},
        lambda key: ChainAnchor(chain, by_key[key]),
        ChainAnchor(chain, member(name, "eve")),
        outage,
        advance,
        later,
        reorganise=reorganise,
    )


@contextlib.asynccontextmanager
async def filed(folder: Path) -> AsyncIterator[Place]:
    """A file at another member's agent."""
    keeper = FileKeeper(folder, window=DISPUTED)
    await keeper.founded()
    keys = {_raw(key): name for name, key in keeper.keys.items()}
    away = [False]

    class Broken(Lossy):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if away[0]:
                message = "nobody is there"
                raise httpx.ConnectError(message)
            return await super().handle_async_request(request)

    def view(key: SigningKey) -> Anchor:
        http = BoundedHttp(URL, transport=Broken(keeper))
        return FileAnchor(key, keeper.public, URL, lambda: keeper.now, http=http)

    @contextlib.asynccontextmanager
    async def outage() -> AsyncIterator[None]:
        away[0] = True
        yield
        away[0] = False

    async def advance() -> None:
        await asyncio.sleep(0)

    async def later(seconds: int) -> None:
        keeper.now += seconds

    yield Place(
        {key: view(keeper.keys[name]) for key, name in keys.items()},
        lambda key: view(keeper.keys[keys[key]]),
        view(SigningKey.from_seed(b"\x07" * 32)),
        outage,
        advance,
        later,
    )
    keeper.store.close()


def _raw(key: SigningKey) -> bytes:
    return key.private.public_key().public_bytes_raw()


@contextlib.asynccontextmanager
async def on_a_chain(folder: Path) -> AsyncIterator[Place]:
    """A contract on anvil, final after two further blocks."""
    with chains.chain("--hardfork", "cancun", *_FREE) as url:
        async with chains.world(url, window=DISPUTED) as world:
            by_key = {one.key: one for one in world.parties}

            def view(party: Any, **changes: Any) -> Anchor:
                anchor: Anchor = world.anchor(party, confirmations=2, **changes)
                return anchor

            views = {key: view(one) for key, one in by_key.items()}
            asked = world.rpc.ask

            @contextlib.asynccontextmanager
            async def outage() -> AsyncIterator[None]:
                world.rpc._url = "http://127.0.0.1:1"
                yield
                world.rpc._url = url

            async def advance() -> None:
                await asked("evm_mine")

            async def reorganise(ticket: Ticket) -> None:
                await asked("anvil_reorg", 1, [])

            yield Place(
                views,
                lambda key: view(by_key[key]),
                view(world.others[0]),
                outage,
                advance,
                world.pass_time,
                reorganise=reorganise,
            )


_FREE = ("--gas-price", "0", "--block-base-fee-per-gas", "0")


@contextlib.asynccontextmanager
async def on_fabric(folder: Path) -> AsyncIterator[Place]:
    """A chaincode behind a gateway that behaves."""
    network = Network(folder)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(network.stop)
        network.start()
        await network.begin()
        by_key = {one.public: one for one in network.members}
        views = {}
        for key, one in by_key.items():
            views[key] = await stack.enter_async_context(network.anchor(one))
        eve = type(network.members[0])(network.orgs[0], "eve")
        stranger = await stack.enter_async_context(network.anchor(eve))

        @contextlib.asynccontextmanager
        async def outage() -> AsyncIterator[None]:
            network.kill_gateway()
            yield
            network.start_gateway()

        async def advance() -> None:
            await asyncio.sleep(0.01)

        yield Place(views, lambda key: views[key], stranger, outage, advance, None, window=WINDOW)


DRIVERS = {"simulated": simulated, "file": filed, "evm": on_a_chain, "fabric": on_fabric}
