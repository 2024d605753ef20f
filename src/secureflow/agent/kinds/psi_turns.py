"""Whose turn it is, where a receiver intersects with more than one party.

The protocol is one of two parties, and the receiver runs it with one after the other: so one engine
at a time takes its memory and the receiver's processor. Until its turn comes a party is asked again
and again whether it is still there, and answers:

    {"say": "wait"} → {"say": "here"}       every `BEAT` seconds
    {"say": "turn"} → {"say": "here"}       then both start the engine

Where the receiver tells the others afterwards what all have (`agent.kinds.psi_handover`), they are
asked on until that is done:

    {"say": "told"} → {"say": "here"}       then comes the file
    {"say": "wait"} → {"say": "here"}       until its reader has looked at it:
    {"say": "wait"} → {"say": "done"}
    {"say": "compare"} → {"say": "done"}    when all are: then they compare it with one another

So whoever is gone is named within `PATIENCE` seconds by who waits for it, however long the others'
turns take, and with the first that is gone all turns end. Peers are foreign: a word is short, and
what else it says is not repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.agreement import CLOSED, MALFORMED
from secureflow.adapters.mpcengines.together import together
from secureflow.application.ports.mpcengine import EngineDeadlines
from secureflow.application.ports.peers import PeerChannel
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError

PATIENCE: Final = EngineDeadlines.connect
"""Seconds in which a peer answers, or is asked again."""
BEAT: Final = 2.0
SOON: Final = 0.05
"""Seconds until a peer is asked first whether it is done; twice as many each time, up to `BEAT`."""
TURN: Final = "turn"
TOLD: Final = "told"
COMPARE: Final = "compare"
_WORD_BYTES: Final = 256
_WAIT, _HERE, _DONE = "wait", "here", "done"

Run = Callable[[str], Awaitable[None]]
"""Does something with one peer: runs the protocol, for example."""


class Turns:
    """What a receiver says to the others: one thing at a time over each channel.

    Args:
        engine: its name, for errors.
        channels: peer → an open channel.
    """

    def __init__(self, engine: str, channels: Mapping[str, PeerChannel]) -> None:
        self._engine = engine
        self._channels = dict(sorted(channels.items()))
        self._speaking = {peer: asyncio.Lock() for peer in self._channels}
        self._over = {peer: asyncio.Event() for peer in self._channels}

    async def hold(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work, and ask every peer meanwhile whether it is there, until its last turn."""
        await together([work, *map(self._ask_on, self._channels)])

    async def turn(self, peer: str, word: str, run: Run, *, last: bool = False) -> None:
        """Say a word to a peer, and do with it what follows; after the `last` it is left alone.

        Raises:
            SecureFlowError: `peer_absent`, `peer_broken`; those of `run` and of the channel.
        """
        async with self._speaking[peer]:
            await self._asked(peer, word)
            await run(peer)
            if last:
                self._over[peer].set()

    async def each(self, word: str, run: Run, *, last: bool = False) -> None:
        """Have a turn with all peers at once."""
        await together([self.turn(peer, word, run, last=last) for peer in self._channels])

    async def all_done(self) -> None:
        """Ask all peers until each is done with what it was told."""
        await together([self._until_done(peer) for peer in self._channels])

    async def _until_done(self, peer: str) -> None:
        pause = SOON
        while True:
            async with self._speaking[peer]:
                if await self._asked(peer, _WAIT) == _DONE:
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, BEAT)

    async def _ask_on(self, peer: str) -> None:
        over = self._over[peer]
        while not over.is_set():
            async with self._speaking[peer]:
                if not over.is_set():
                    await self._asked(peer, _WAIT)
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await over.wait()

    async def _asked(self, peer: str, word: str) -> str:
        """Say a word to a peer, and return its answer."""
        channel = self._channels[peer]
        await channel.send(canonical_bytes({"say": word}))
        return await _word(self._engine, channel, {_HERE, _DONE}, PATIENCE)


async def give_turns(
    engine: str,
    channels: Mapping[str, PeerChannel],
    run: Run,
    then: Callable[[Turns], Awaitable[None]] | None = None,
) -> None:
    """Run the protocol with one peer after the other, by name; at the receiver.

    Args:
        engine: its name, for errors.
        channels: peer → an open channel.
        run: called with each peer when both are ready to start.
        then: called after that, while the peers are asked on; it has the last turn with each.

    Raises:
        SecureFlowError: `peer_absent`, `peer_broken`; those of `run`, `then` and of the channels.
            Nothing runs on then.
    """
    turns = Turns(engine, channels)

    async def one_by_one() -> None:
        for peer in sorted(channels):
            await turns.turn(peer, TURN, run, last=then is None)
        if then is not None:
            await then(turns)

    await turns.hold(one_by_one())


async def await_turn(engine: str, channel: PeerChannel, word: str = TURN) -> None:
    """Wait until the receiver has a turn with this party; at each of the others.

    Raises:
        SecureFlowError: `peer_absent`, `peer_broken`; those of the channel.
    """
    said, seconds = "", 2 * PATIENCE  # the receiver first waits for the others' channels
    while said != word:
        said = await _word(engine, channel, {_WAIT, word}, seconds)
        await channel.send(canonical_bytes({"say": _HERE}))
        seconds = PATIENCE


async def work_until(
    engine: str, channel: PeerChannel, work: Coroutine[Any, Any, None], word: str
) -> None:
    """Do work, and answer the receiver, until it says a word; at each of the others.

    Raises:
        SecureFlowError: `peer_absent`, `peer_broken`, also if the word comes before the work is
            done; those of the work and of the channel.
    """
    done = asyncio.Event()

    async def working() -> None:
        await work
        done.set()

    async def answering() -> None:
        said = ""
        while said != word:
            said = await _word(engine, channel, {_WAIT, word}, PATIENCE)
            if said == word and not done.is_set():
                raise failures.broken(engine, channel.peer, "outputs", MALFORMED)
            await channel.send(canonical_bytes({"say": _DONE if done.is_set() else _HERE}))

    await together([working(), answering()])


async def _word(engine: str, channel: PeerChannel, known: Collection[str], seconds: float) -> str:
    """Return what a peer says: one of the known words."""
    told = await heard(engine, channel, seconds)
    said = told.get("say")
    if not isinstance(said, str) or said not in known:
        raise failures.broken(engine, channel.peer, "connect", MALFORMED)
    return said


async def heard(engine: str, channel: PeerChannel, seconds: float) -> dict[str, JSON]:
    """Return a short message of a peer: a JSON object.

    Raises:
        SecureFlowError: `peer_absent` if none comes in so many seconds, `peer_broken`.
    """
    try:
        async with asyncio.timeout(seconds):
            message = await channel.receive()
    except TimeoutError:
        raise failures.away(engine, [channel.peer], seconds) from None
    if message is None:
        raise failures.broken(engine, channel.peer, "connect", CLOSED)
    try:
        told = parse_json(message, _WORD_BYTES)
    except SecureFlowError:
        told = None
    if not isinstance(told, dict):
        raise failures.broken(engine, channel.peer, "connect", MALFORMED)
    return told
