"""Whose turn it is, where a receiver intersects with more than one party.

The protocol is one of two parties, and the receiver runs it with one after the other: so one engine
at a time takes its memory and the receiver's processor. Until its turn comes a party is asked again
and again whether it is still there, and answers:

    {"say": "wait"} → {"say": "here"}       every `BEAT` seconds
    {"say": "turn"} → {"say": "here"}       then both start the engine

So whoever is gone is named within `PATIENCE` seconds by who waits for it, however long the others'
turns take, and with the first that is gone all turns end. Peers are foreign: a word is short, and
what else it says is not repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.agreement import CLOSED, MALFORMED
from secureflow.adapters.mpcengines.together import together
from secureflow.application.ports.mpcengine import EngineDeadlines
from secureflow.application.ports.peers import PeerChannel
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError

PATIENCE: Final = EngineDeadlines.connect
"""Seconds in which a peer answers, or is asked again."""
BEAT: Final = 2.0
_WORD_BYTES: Final = 256
_WAIT, _TURN, _HERE = "wait", "turn", "here"

Run = Callable[[str], Awaitable[None]]
"""Runs the protocol with one peer."""


async def give_turns(engine: str, channels: Mapping[str, PeerChannel], run: Run) -> None:
    """Run the protocol with one peer after the other, by name; at the receiver.

    Args:
        engine: its name, for errors.
        channels: peer → an open channel.
        run: called with each peer when both are ready to start.

    Raises:
        SecureFlowError: `peer_absent`, `peer_broken`; those of `run` and of the channels. Nothing
            runs on then.
    """
    turns = {peer: asyncio.Event() for peer in sorted(channels)}
    ready = {peer: asyncio.Event() for peer in turns}

    async def wait(peer: str) -> None:
        while not turns[peer].is_set():
            await _asked(engine, channels[peer], _WAIT)
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await turns[peer].wait()
        await _asked(engine, channels[peer], _TURN)
        ready[peer].set()

    async def one_by_one() -> None:
        for peer, turn in turns.items():
            turn.set()
            await ready[peer].wait()
            await run(peer)

    await together([one_by_one(), *map(wait, turns)])


async def await_turn(engine: str, channel: PeerChannel) -> None:
    """Wait until the receiver starts with this party; at each of the others.

    Raises:
        SecureFlowError: `peer_absent`, `peer_broken`; those of the channel.
    """
    said, seconds = "", 2 * PATIENCE  # the receiver first waits for the others' channels
    while said != _TURN:
        said = await _word(engine, channel, {_WAIT, _TURN}, seconds)
        await channel.send(canonical_bytes({"say": _HERE}))
        seconds = PATIENCE


async def _asked(engine: str, channel: PeerChannel, word: str) -> None:
    """Say a word to a peer, and wait for its answer."""
    await channel.send(canonical_bytes({"say": word}))
    await _word(engine, channel, {_HERE}, PATIENCE)


async def _word(engine: str, channel: PeerChannel, known: set[str], seconds: float) -> str:
    """Return what a peer says: one of the known words."""
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
    said = told.get("say") if isinstance(told, dict) else None
    if not isinstance(said, str) or said not in known:
        raise failures.broken(engine, channel.peer, "connect", MALFORMED)
    return said
