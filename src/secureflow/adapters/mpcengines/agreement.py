"""What the agents of a run say to one another, over the messages of its channels.

    {"say": "hello", "agreement": …}    first; who would run something else is named, none starts
    {"say": "beat", "phase": …, "works": …}     every `BEAT` seconds
    {"say": "done"} or {"say": "failed", "sure": …, "after": …, "phase": …}     last

A result counts when every party is done: until then each waits for the others. An engine that waits
for another one is not silent, as long as a peer tells that its own *works*: computes, or talks.

A party whose engine failed says so at once, whether it is *sure* that the failure is its own, and
whether it only ends *after* another party. When an engine dies the others' fail too, since their
connections break: so one that is not sure waits a moment for who is, and the party where it began
is the one that is named. Peers are foreign: a message is small, and what it says beyond these words
is not repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.together import ended, together
from secureflow.application.ports.mpcengine import PHASES, EngineInfo, EngineJob
from secureflow.application.ports.peers import PeerChannel
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError

MESSAGE_BYTES: Final = 1 << 20
BEAT: Final = 2.0
BURST: Final = 64
"""Beats that may come at once, after a cut for example; and four times as many as are due."""
GRACE: Final = 10.0
"""Seconds in which the party where a failure began can say so; all are waited for only where one
says nothing at all."""
_LIMIT: Final = "peer_limit"
_BROKEN: Final = "peer_broken"
GONE: Final = "the channel to it broke"
CLOSED: Final = "it closed the channel"
FAILED: Final = "its engine failed"
SILENT: Final = "nothing came from it any more"
LATE: Final = "it was not done when the time was over"
MALFORMED: Final = "it said something that no agent says"


TERMS: Final = {
    "engine": "engine",
    "version": "version of the engine",
    "job": "job",
    "attempt": "attempt",
    "program": "program",
    "digest": "digest of the program",
    "protocol": "protocol",
    "parameters": "parameters",
    "parties": "parties",
    "receivers": "receivers",
}
"""What all must have alike (`EngineJob.agreement`), for people."""


class Peers:
    """The other parties of a run.

    Args:
        job: this party's part.
        info: its engine.
    """

    def __init__(self, job: EngineJob, info: EngineInfo) -> None:
        self._job = job
        self._engine = info.name
        self._terms = job.agreement(info)
        self._unsure: set[str] = set()
        self._after: set[str] = set()
        self._failed: dict[str, SecureFlowError] = {}
        self._works = dict.fromkeys(job.peers, False)
        self.phase = "connect"

    @property
    def waiting(self) -> list[str]:
        """The peers that are not done."""
        return [peer for peer in self._works if peer not in self._failed]

    @property
    def working(self) -> list[str]:
        """The peers whose engines work, by what their agents told last."""
        return [peer for peer, works in self._works.items() if works]

    async def agree(self, seconds: float) -> None:
        """Exchange what is to run with every peer.

        Raises:
            SecureFlowError: `peer_absent`, `program_mismatch`, `peer_broken`.
        """
        engine, waiting = self._engine, set(self._job.peers)

        async def one(peer: str, channel: PeerChannel) -> None:
            await self._say(peer, {"say": "hello", "agreement": self._terms})
            told = await self._heard(peer, channel)
            if told.get("say") != "hello":
                raise failures.broken(engine, peer, "connect", MALFORMED)
            if wrong := self._differs(told.get("agreement")):
                raise failures.mismatch(engine, peer, wrong)
            waiting.discard(peer)

        try:
            async with asyncio.timeout(seconds):
                await together([one(*each) for each in self._job.channels.items()])
        except TimeoutError as error:
            raise failures.away(engine, waiting, seconds) from error

    async def watch(self, peer: str) -> None:
        """Listen to a peer until it is done.

        Raises:
            SecureFlowError: `peer_broken`: it failed, went, or fell silent.
        """
        try:
            await self._watched(peer)
            del self._works[peer]
        except SecureFlowError as error:
            self._failed[peer] = error
            raise

    async def _watched(self, peer: str) -> None:
        channel = self._job.channels[peer]
        idle = max(self._job.deadlines.idle, 3 * BEAT)
        loop, beats = asyncio.get_running_loop(), 0
        began = loop.time()
        while True:
            try:
                async with asyncio.timeout(idle):
                    told = await self._heard(peer, channel)
            except TimeoutError as error:
                raise self._broken(peer, SILENT) from error
            match told.get("say"):
                case "beat" if beats < BURST + 4 * (loop.time() - began) / BEAT:
                    beats += 1
                    self._works[peer] = told.get("works") is True
                case "done":
                    return
                case "failed":
                    if told.get("sure") is not True:
                        self._unsure.add(peer)
                    if told.get("after") is True:
                        self._after.add(peer)
                    raise self._broken(peer, FAILED, told.get("phase"))
                case _:
                    raise self._broken(peer, MALFORMED)

    async def beat(self, works: Callable[[float], bool]) -> None:
        """Tell every peer, again and again, that this party goes on.

        Args:
            works: tells whether its engine has worked in the last seconds.
        """
        while True:
            await asyncio.sleep(BEAT)
            await self.tell({"say": "beat", "phase": self.phase, "works": works(2 * BEAT)})

    async def tell(self, message: Mapping[str, JSON]) -> None:
        """Send a message to every peer.

        Raises:
            SecureFlowError: `peer_broken`.
        """
        await together([self._say(peer, message) for peer in self._job.peers])

    async def fail(self, error: SecureFlowError, *, sure: bool) -> None:
        """Tell every peer that this party failed, as far as that can still be told."""
        after = error.code == _BROKEN
        message = {"say": "failed", "sure": sure, "after": after, "phase": self.phase}
        ways = (self._say(peer, message) for peer in self._job.peers)
        tasks = [asyncio.ensure_future(one) for one in ways]
        try:
            await asyncio.wait(tasks, timeout=GRACE)
        finally:
            await ended(tasks)

    async def culprit(
        self, error: SecureFlowError, watching: Mapping[str, asyncio.Task[None]]
    ) -> SecureFlowError:
        """Return the error of the party where a failure began, as far as one says so in a moment.

        Args:
            error: as this party met it.
            watching: peer → the task that runs `watch`.
        """
        left, loop = dict(watching), asyncio.get_running_loop()
        until = loop.time() + GRACE
        while left and (patience := until - loop.time()) > 0:
            await asyncio.wait(left.values(), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            left = {peer: task for peer, task in left.items() if not task.done()}
            for peer, found in self._failed.items():
                if peer not in self._unsure:
                    return found
        if error.code != _BROKEN:
            return error
        began = (found for peer, found in self._failed.items() if peer not in self._after)
        return next(began, error)

    def sure(self, error: SecureFlowError) -> bool:
        """Tell whether an error of a peer is surely that peer's."""
        return any(error is one and peer not in self._unsure for peer, one in self._failed.items())

    def late(self, peer: str) -> SecureFlowError:
        """Return the error of a peer for which a party that is done has waited too long."""
        return self._broken(peer, LATE)

    def _differs(self, theirs: JSON) -> list[str]:
        """Return what a peer has otherwise, for people; its values are not repeated."""
        has = theirs if isinstance(theirs, dict) else {}
        return [told for name, told in TERMS.items() if has.get(name) != self._terms[name]]

    async def _say(self, peer: str, message: Mapping[str, JSON]) -> None:
        try:
            await self._job.channels[peer].send(canonical_bytes(dict(message)))
        except SecureFlowError as error:
            raise self._gone(peer, error) from error

    async def _heard(self, peer: str, channel: PeerChannel) -> dict[str, JSON]:
        try:
            message = await channel.receive()
        except SecureFlowError as error:
            raise self._gone(peer, error) from error
        if message is None:
            raise self._broken(peer, CLOSED)
        try:
            told = parse_json(message, MESSAGE_BYTES)
        except SecureFlowError as error:
            raise self._broken(peer, MALFORMED) from error
        if not isinstance(told, dict):
            raise self._broken(peer, MALFORMED)
        return told

    def _gone(self, peer: str, error: SecureFlowError) -> SecureFlowError:
        """Return the error of a channel; that a limit of the job is reached says it itself."""
        return error if error.code == _LIMIT else self._broken(peer, GONE)

    def _broken(self, peer: str, reason: str, phase: JSON = "") -> SecureFlowError:
        """Return the error of a peer: in its own phase if it told it, else in ours."""
        known = phase if isinstance(phase, str) and phase in PHASES else self.phase
        return failures.broken(self._engine, peer, known, reason)
