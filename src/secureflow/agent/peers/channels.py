"""This agent's channels: the keys of each attempt, what it signed, and the open ones.

Keys exist in memory only, so an agent that was restarted has lost its attempts (`attempt_lost`):
an engine could not go on either. Whoever offers keeps the answer in the record, since a second
offer of an attempt would sign a second certificate, which is an accusation against this party.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from secureflow.adapters.link.peerchannel import ContentMeter, LinkedChannel
from secureflow.adapters.link.peerlink import Dial, Dialling, PeerPipe, Place
from secureflow.adapters.link.peersession import PeerSession
from secureflow.adapters.link.peertls import ChannelKey, new_channel_key
from secureflow.agent.peers.carried import Carried, Unrecorded
from secureflow.application.ports.peers import ChannelLimits, PeerChannel
from secureflow.engines.peers.faults import HANDSHAKE, ChannelEnds, ChannelFaultError
from secureflow.engines.peers.statements import (
    ChannelScope,
    check_statement,
    contradict,
    contradiction,
    make_statement,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_ATTEMPTS: Final = 64
"""Attempts of all jobs whose keys are kept."""


class Nowhere:
    """Reaches nobody: an agent without links."""

    def to(self, place: Place, tag: bytes) -> Dial:
        """Return what refuses to dial."""
        del tag

        return lambda: _Refused(place.peer)


class _Refused(contextlib.AbstractAsyncContextManager[PeerPipe]):
    def __init__(self, peer: str) -> None:
        self._peer = peer

    async def __aenter__(self) -> PeerPipe:
        raise SecureFlowError(
            "link_broken", Text("There is no link to {peer} here.", peer=self._peer)
        )

    async def __aexit__(self, *_: object) -> None:
        return None


@dataclass
class _Attempt:
    scope: ChannelScope
    keys: dict[str, ChannelKey] = field(default_factory=dict, repr=False)
    offered: dict[str, JSON] = field(default_factory=dict)
    theirs: dict[str, JSON] = field(default_factory=dict)
    open: dict[str, LinkedChannel] = field(default_factory=dict)


class PeerChannels:
    """Makes and opens channels.

    Args:
        party: this organisation.
        key: its signing key.
        dialling: reaches peers.
        carried: remembers how much the channels of a job have carried.
    """

    def __init__(
        self,
        party: str,
        key: SigningKey,
        dialling: Dialling,
        carried: Carried = Unrecorded(),  # noqa: B008  it has no state
    ) -> None:
        self._party = party
        self._key = key
        self._dialling = dialling
        self._carried = carried
        self._attempts: dict[tuple[str, int], _Attempt] = {}
        self._meters: dict[str, ContentMeter] = {}

    def offer(self, scope: ChannelScope, peers: Sequence[str]) -> dict[str, JSON]:
        """Return a signed statement for each peer; the same ones if asked again.

        Raises:
            SecureFlowError: `peer_statement_wrong` if something else was offered for this attempt;
                `party_busy` if too many attempts are open.
        """
        attempt = self._attempts.get((scope.job, scope.attempt))
        if attempt is None:
            if len(self._attempts) >= MAX_ATTEMPTS:
                raise SecureFlowError(
                    "party_busy",
                    Text("{party} has too many attempts open at once.", party=self._party),
                    "Wait until other jobs of it have ended.",
                )
            attempt = self._attempts.setdefault((scope.job, scope.attempt), _Attempt(scope))
        if attempt.scope != scope:
            raise self._offered_otherwise(scope)
        for peer in peers:
            if peer not in attempt.offered:
                attempt.keys[peer] = own = new_channel_key()
                attempt.offered[peer] = make_statement(
                    scope, self._party, peer, own.certificate, self._key
                )
        return {peer: attempt.offered[peer] for peer in peers}

    async def open(
        self,
        scope: ChannelScope,
        theirs: Mapping[str, JSON],
        *,
        deadline: float,
        limits: ChannelLimits,
    ) -> dict[str, PeerChannel]:
        """Open a channel to every peer, all or none.

        Args:
            scope: as offered.
            theirs: the peers' signed statements, as the centre passes them on.
            deadline: seconds within which every peer must have opened its end.
            limits: of the job.

        Raises:
            SecureFlowError: `attempt_lost`, `peer_statement_wrong`, `peer_statements_contradict`,
                `peer_absent`, `peer_broken`.
        """
        attempt = self._attempts.get((scope.job, scope.attempt))
        if attempt is None or not theirs.keys() <= attempt.keys.keys():
            raise self._lost(scope)
        if attempt.scope != scope:
            raise self._offered_otherwise(scope)
        pinned = {
            peer: self._checked(attempt, peer, statement) for peer, statement in theirs.items()
        }
        if attempt.open:
            raise self._lost(scope)
        sessions = {
            peer: self._session(scope, peer, attempt.keys[peer], certificate)
            for peer, certificate in pinned.items()
        }
        meter = self._meter(scope.job)
        for peer, session in sessions.items():
            place = Place(scope.job, scope.attempt, peer)
            attempt.open[peer] = LinkedChannel(
                self._ends(scope, peer),
                session,
                self._dialling.to(place, session.tag),
                limits,
                meter,
            )
        await self._until_ready(attempt, deadline)
        return dict(attempt.open)

    async def forget(self, job: str) -> None:
        """End the channels of a job that is over, and forget its keys and what it used."""
        self._meters.pop(job, None)
        await self.forget_attempts(job)

    async def forget_attempts(self, job: str) -> None:
        """End a job's channels so far, and forget their keys; a peer learns that its one ended.

        What they carried still counts against the job's limit.
        """
        attempts = [self._attempts.pop(one) for one in list(self._attempts) if one[0] == job]
        await asyncio.gather(*(self._give_up(attempt) for attempt in attempts))

    async def forget_attempt(self, job: str, attempt: int) -> None:
        """End the channels of one attempt, and forget its keys."""
        known = self._attempts.pop((job, attempt), None)
        if known is not None:
            await self._give_up(known)

    async def stop(self) -> None:
        """End every channel: the agent stops."""
        for job in {job for job, _ in self._attempts}:
            await self.forget_attempts(job)

    def _meter(self, job: str) -> ContentMeter:
        """Return what counts for a job; another process may have begun to."""
        if job not in self._meters:
            reserve = partial(self._carried.reserve, job)
            self._meters[job] = ContentMeter(self._carried.of(job), reserve)
        return self._meters[job]

    async def _until_ready(self, attempt: _Attempt, deadline: float) -> None:
        """Wait for all peers; if one fails, end all."""
        waiting = {
            asyncio.create_task(channel.until_ready()): channel for channel in attempt.open.values()
        }
        try:
            done, missing = (
                await asyncio.wait(waiting, timeout=deadline, return_when=asyncio.FIRST_EXCEPTION)
                if waiting
                else (set[asyncio.Task[None]](), set[asyncio.Task[None]]())
            )
            for task in done:
                task.result()
            for task in missing:
                raise waiting[task].absent(deadline)
        except BaseException:  # cancellation too: nothing stays open
            await self.forget_attempt(attempt.scope.job, attempt.scope.attempt)
            raise
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _give_up(self, attempt: _Attempt) -> None:
        ended = (
            channel.give_up(self._ends(attempt.scope, peer).given_up())
            for peer, channel in attempt.open.items()
        )
        await asyncio.gather(*ended)

    def _checked(self, attempt: _Attempt, peer: str, statement: JSON) -> bytes:
        """Return the certificate that a peer's statement pins; its first statement counts."""
        certificate = check_statement(statement, attempt.scope, peer, self._party)
        first = attempt.theirs.setdefault(peer, statement)
        if contradict(first, statement, attempt.scope.keys[peer]):
            raise contradiction(peer, first, statement)
        return certificate

    def _session(
        self, scope: ChannelScope, peer: str, own: ChannelKey, pinned: bytes
    ) -> PeerSession:
        try:
            return PeerSession(own, pinned, client=self._party < peer)
        except ChannelFaultError as fault:
            raise self._ends(scope, peer).broken(fault.reason, HANDSHAKE) from fault

    def _ends(self, scope: ChannelScope, peer: str) -> ChannelEnds:
        return ChannelEnds(self._party, peer, scope.job, scope.attempt)

    def _lost(self, scope: ChannelScope) -> SecureFlowError:
        return SecureFlowError(
            "attempt_lost",
            Text(
                "{party} no longer has the keys of attempt {attempt}.",
                party=self._party,
                attempt=scope.attempt,
            ),
            "Its agent was restarted, or ended this attempt; the next attempt makes new ones.",
            {"party": self._party, "attempt": scope.attempt},
        )

    def _offered_otherwise(self, scope: ChannelScope) -> SecureFlowError:
        return SecureFlowError(
            "peer_statement_wrong",
            Text(
                "{party} has offered other channels for attempt {attempt} of this job.",
                party=self._party,
                attempt=scope.attempt,
            ),
            "An attempt has one spec, one program and one roster; a change needs the next attempt.",
            {"party": self._party, "wrong": "offer"},
        )
