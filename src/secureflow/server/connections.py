"""Connection limits: unauthenticated callers per address, users per user.

A slot is *idle* while the server waits for its caller (for a handshake, a request, or for an answer
to be read), and *busy* while the caller waits for the server. Only idle ones are evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from secureflow.kit.clock import Ticks
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.server.settings import ConnectionSettings

PROXY: Final = "proxy"
LEAST_RATE: Final = 32 * 1024.0
"""Bytes per second at which a body may come for as long as it is: the time for a body is counted
beyond that, so it does not depend on its length."""


class Phase(StrEnum):
    """What a connection waits for; in all phases but the last, the caller."""

    HANDSHAKE = "handshake"
    HEAD = "head"
    BODY = "body"
    READING = "reading"
    ANSWER = "answer"


@dataclass(eq=False)
class ConnectionSlot:
    """One connection's slot.

    Args:
        source: the address, as counted by limits.
        drop: closes the connection at once.
        since: start of the phase, in monotonic seconds.
        user: its user; empty if unknown.
    """

    source: str
    drop: Callable[[], None]
    since: float
    phase: Phase = Phase.HANDSHAKE
    user: str = ""
    gone: bool = False


@dataclass
class _Pool:
    """Slots that are counted together; the idle ones ordered by idle time."""

    size: int = 0
    idle: OrderedDict[ConnectionSlot, None] = field(default_factory=OrderedDict)

    def oldest(self) -> ConnectionSlot | None:
        return next(iter(self.idle), None)


class Connections:
    """Assigns and frees slots.

    Args:
        limits: the limits and deadlines.
        ticks: monotonic seconds.
        faults: called for evicted and for slow connections.
    """

    def __init__(self, limits: ConnectionSettings, ticks: Ticks, faults: ThrottledLog) -> None:
        self._limits = limits
        self._ticks = ticks
        self._faults = faults
        self._all: OrderedDict[ConnectionSlot, None] = OrderedDict()
        self._strangers = _Pool()
        self._known = _Pool()
        self._groups: dict[tuple[str, str], _Pool] = {}
        self._patience: dict[Phase, float] = {
            Phase.HANDSHAKE: limits.handshake_seconds,
            Phase.HEAD: limits.header_seconds,
            Phase.BODY: limits.body_seconds,
            Phase.READING: limits.body_seconds,
        }

    def __len__(self) -> int:
        return len(self._all)

    @property
    def unknown(self) -> int:
        """The number of connections without a known user."""
        return self._strangers.size

    def admit(
        self, source: str, drop: Callable[[], None], *, proxy: bool = False
    ) -> ConnectionSlot | None:
        """Assign a slot to a new connection, or None if nothing can be evicted.

        Args:
            source: the address, as counted by limits.
            drop: closes the connection at once.
            proxy: whether it is a listed reverse proxy, which many people share.
        """
        place = ConnectionSlot(source, drop, self._ticks(), user=PROXY if proxy else "")
        if not proxy:
            self._make_room(self._groups.get(("", source)), self._limits.of_address)
            if not self._make_room(self._strangers, self._limits.unknown):
                self._refuse()
                return None
        if len(self._all) >= self._limits.most and not self.shed():
            self._refuse()
            return None
        self._all[place] = None
        self._enter(place)
        return place

    def turn(self, place: ConnectionSlot, phase: Phase, *, restart: bool = False) -> None:
        """Set what the connection waits for now; `restart` resets its time."""
        if place.gone or (place.phase is phase and not restart):
            return
        place.phase, place.since = phase, self._ticks()
        for pool in self._pools(place):
            pool.idle.pop(place, None)
            if phase is not Phase.ANSWER:
                pool.idle[place] = None

    def belongs(self, place: ConnectionSlot, user: str) -> bool:
        """Count the connection for the user of its token; False if they have too many."""
        if place.gone or place.user in {user, PROXY}:
            return True
        if not self._make_room(self._groups.get(("user", user)), self._limits.of_user):
            return False
        self._leave(place)
        place.user = user
        self._enter(place)
        return True

    def leave(self, place: ConnectionSlot) -> None:
        """Free the slot of a closed connection; harmless if it is free already."""
        if not place.gone:
            place.gone = True
            del self._all[place]
            self._leave(place)

    def shed(self) -> bool:
        """Evict the longest-idle connection, unknown ones first; False if none is idle."""
        place = self._strangers.oldest() or self._known.oldest()
        if place is None:
            return False
        self._evict(place)
        return True

    def progressed(self, place: ConnectionSlot, size: int) -> None:
        """Allow more time for a body: so many bytes of it came."""
        if place.phase is Phase.BODY:
            place.since = min(place.since + size / LEAST_RATE, self._ticks())

    def excuse(self, seconds: float) -> None:
        """Do not count time for which this process itself was stalled."""
        for place in self._all:
            place.since += seconds

    def expire(self) -> None:
        """Close the connections that were idle for too long."""
        now = self._ticks()
        for place in list(self._all):
            patience = self._patience.get(place.phase)
            if patience is not None and now - place.since > patience and not place.gone:
                self._faults.note("connection_too_slow", phase=place.phase.value)
                self._drop(place)

    def _make_room(self, pool: _Pool | None, most: int) -> bool:
        while pool is not None and pool.size >= most:
            place = pool.oldest()
            if place is None:
                return False
            self._evict(place)
        return True

    def _evict(self, place: ConnectionSlot) -> None:
        self._faults.note("connection_made_room", phase=place.phase.value, open=len(self._all))
        self._drop(place)

    def _drop(self, place: ConnectionSlot) -> None:
        self.leave(place)
        place.drop()

    def _refuse(self) -> None:
        self._faults.note("connection_refused", open=len(self._all), unknown=self.unknown)

    def _pools(self, place: ConnectionSlot) -> tuple[_Pool, _Pool]:
        return self._groups[_group(place)], self._known if place.user else self._strangers

    def _enter(self, place: ConnectionSlot) -> None:
        self._groups.setdefault(_group(place), _Pool())
        for pool in self._pools(place):
            pool.size += 1
            if place.phase is not Phase.ANSWER:
                pool.idle[place] = None

    def _leave(self, place: ConnectionSlot) -> None:
        for pool in self._pools(place):
            pool.size -= 1
            pool.idle.pop(place, None)
        if not self._groups[_group(place)].size:
            del self._groups[_group(place)]


def _group(place: ConnectionSlot) -> tuple[str, str]:
    return ("user", place.user) if place.user else ("", place.source)
