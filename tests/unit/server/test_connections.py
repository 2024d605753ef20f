"""Who stays when a limit is reached: decided without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.kit.logthrottle import ThrottledLog
from secureflow.server.connections import LEAST_RATE, Connections, ConnectionSlot, Phase
from secureflow.server.settings import ConnectionSettings

LIMITS = ConnectionSettings(most=24, unknown=16, of_address=8, of_user=4)
BAD, GOOD = "192.0.2.66", "192.0.2.1"


class Door:
    """Connections with names; `closed` are those that were dropped, in order."""

    def __init__(self, limits: ConnectionSettings = LIMITS) -> None:
        self.now = 0.0
        self.closed: list[str] = []
        self.noted: list[str] = []
        self.places: dict[str, ConnectionSlot] = {}
        self.connections = Connections(limits, lambda: self.now, ThrottledLog(self, lambda: 0.0))  # type: ignore[arg-type]

    def warning(self, event: str, **_: Any) -> None:
        self.noted.append(event)

    def come(self, name: str, source: str, *, proxy: bool = False) -> ConnectionSlot | None:
        place = self.connections.admit(source, lambda: self.closed.append(name), proxy=proxy)
        if place is not None:
            self.places[name] = place
        return place

    def turn(self, name: str, phase: Phase) -> None:
        self.connections.turn(self.places[name], phase)

    def belongs(self, name: str, user: str) -> bool:
        return self.connections.belongs(self.places[name], user)


@pytest.fixture
def door() -> Door:
    return Door()


def test_an_address_makes_room_for_itself_oldest_first(door: Door) -> None:
    assert door.come("good", GOOD)
    for n in range(10):
        assert door.come(f"bad-{n}", BAD)
    assert door.closed == ["bad-0", "bad-1"]
    assert len(door.connections) == 9
    assert door.noted == ["connection_made_room"]  # one line for both


def test_when_all_are_strangers_who_was_waited_for_longest_makes_room(door: Door) -> None:
    for n in range(17):
        assert door.come(f"{n}", f"192.0.2.{n}")
    assert door.closed == ["0"]


def test_who_waits_for_the_server_is_never_sent_away(door: Door) -> None:
    door.come("busy", BAD)
    door.turn("busy", Phase.ANSWER)
    for n in range(20):
        door.come(f"idle-{n}", BAD)
    assert "busy" not in door.closed
    door.turn("busy", Phase.HEAD)  # answered: now it is the youngest of the idle ones
    for n in range(6):
        door.come(f"more-{n}", BAD)
    assert "busy" not in door.closed
    door.come("last", BAD)
    door.come("very last", BAD)
    assert "busy" in door.closed


@pytest.mark.parametrize("phase", [Phase.HEAD, Phase.BODY, Phase.READING])
def test_who_lets_the_server_wait_can_be(door: Door, phase: Phase) -> None:
    for n in range(8):
        door.come(f"{n}", BAD)
        door.turn(f"{n}", phase)
    door.come("new", BAD)
    assert door.closed == ["0"]


def test_a_newcomer_is_refused_only_where_everybody_is_served(door: Door) -> None:
    for n in range(16):
        door.come(f"{n}", f"192.0.2.{n}")
        door.turn(f"{n}", Phase.ANSWER)
    assert door.come("new", GOOD) is None
    assert door.closed == []
    assert door.noted == ["connection_refused"]
    door.turn("3", Phase.HEAD)
    assert door.come("new", GOOD)
    assert door.closed == ["3"]


def test_many_known_users_share_an_address_with_a_stranger_who_fills_it(door: Door) -> None:
    for n in range(30):
        door.come(f"bad-{n}", BAD)
    for n in range(12):  # more than the address may have strangers
        assert door.come(f"user-{n}", BAD)
        assert door.belongs(f"user-{n}", f"usr_{n}")
        door.come(f"more-{n}", BAD)
    assert not [name for name in door.closed if name.startswith("user")]
    assert door.connections.unknown <= LIMITS.of_address
    assert len(door.connections) <= LIMITS.most


def test_a_user_has_so_many_and_their_own_oldest_makes_room(door: Door) -> None:
    for n in range(5):
        door.come(f"a{n}", GOOD)
        assert door.belongs(f"a{n}", "usr_a")
        assert door.belongs(f"a{n}", "usr_a")
    assert door.closed == ["a0"]
    for n in range(1, 5):
        door.turn(f"a{n}", Phase.ANSWER)
    door.come("a5", GOOD)
    assert not door.belongs("a5", "usr_a")
    assert door.belongs("a5", "usr_b")


def test_strangers_make_room_before_users_do(door: Door) -> None:
    for n in range(16):
        door.come(f"u{n}", f"192.0.2.{n}")
        door.belongs(f"u{n}", f"usr_{n}")
    for n in range(8):
        door.come(f"s{n}", f"192.0.2.{100 + n}")
    assert len(door.connections) == LIMITS.most
    door.come("new", GOOD)
    assert door.closed == ["s0"]


def test_a_proxys_connections_count_for_nobody_but_in_all(door: Door) -> None:
    for n in range(24):
        assert door.come(f"p{n}", "10.0.0.1", proxy=True)
        assert door.belongs(f"p{n}", f"usr_{n % 2}")
    assert door.closed == []
    assert door.come("one more", "10.0.0.1", proxy=True)
    assert door.closed == ["p0"]


def test_each_phase_has_its_patience(door: Door) -> None:
    limits = ConnectionSettings(handshake_seconds=1, header_seconds=2, body_seconds=3)
    door = Door(limits)
    for name, phase in (
        ("shaking", Phase.HANDSHAKE),
        ("head", Phase.HEAD),
        ("body", Phase.BODY),
        ("reading", Phase.READING),
        ("answer", Phase.ANSWER),
    ):
        door.come(name, GOOD)
        door.turn(name, phase)
    closed = []
    for door.now in (1.0, 1.5, 2.5, 3.5, 1e9):
        door.connections.expire()
        closed.append(len(door.closed))
    assert closed == [0, 1, 2, 4, 4]
    assert door.closed == ["shaking", "head", "body", "reading"]
    assert len(door.connections) == 1


def test_bytes_that_trickle_in_buy_no_time(door: Door) -> None:
    door.come("slow", GOOD)
    for door.now in (0.0, 5.0, 9.0):
        door.turn("slow", Phase.HEAD)
    door.now = LIMITS.header_seconds + 0.1
    door.connections.expire()
    assert door.closed == ["slow"]


def test_a_body_has_time_as_long_as_it_comes_fast_enough(door: Door) -> None:
    """However long it is: only what it falls behind by is counted."""
    for name in ("steady", "slow", "trickling", "early"):
        door.come(name, GOOD)
        door.turn(name, Phase.BODY)
    early = 1000 * LIMITS.body_seconds * LEAST_RATE  # at once: no credit for later
    door.connections.progressed(door.places["early"], int(early))
    closed = []
    for second in range(1, 10 * int(LIMITS.body_seconds)):
        door.now = float(second)
        door.connections.progressed(door.places["steady"], int(LEAST_RATE))
        door.connections.progressed(door.places["slow"], int(LEAST_RATE / 2))
        door.connections.progressed(door.places["trickling"], 1)
        door.connections.expire()
        closed += [(name, second) for name in door.closed if name not in dict(closed)]
    patience = int(LIMITS.body_seconds) + 1
    assert sorted(closed) == [
        ("early", patience), ("slow", 2 * patience - 1), ("trickling", patience)
    ]  # fmt: skip


def test_bytes_buy_time_for_a_body_only(door: Door) -> None:
    for phase in (Phase.HANDSHAKE, Phase.HEAD, Phase.READING):
        door.come(phase, GOOD)
        door.turn(phase, phase)
    door.now = 5.0
    for place in door.places.values():
        door.connections.progressed(place, 1 << 30)
    door.now = 1.0 + LIMITS.body_seconds
    door.connections.expire()
    assert door.closed == [Phase.HANDSHAKE, Phase.HEAD, Phase.READING]


def test_a_place_is_given_back_once_and_leaves_nothing(door: Door) -> None:
    for name in ("a", "b", "c"):
        door.come(name, GOOD)
    door.belongs("a", "usr_a")
    door.turn("b", Phase.ANSWER)
    for name in ("a", "b", "c", "a"):
        door.connections.leave(door.places[name])
    assert len(door.connections) == door.connections.unknown == 0
    assert door.connections._groups == {}
    assert door.belongs("a", "usr_a")  # a request that outlives its connection
    door.turn("a", Phase.HEAD)
    assert door.connections._groups == {}


def test_a_standstill_of_the_server_makes_nobody_slow(door: Door) -> None:
    door.come("good", GOOD)
    door.now += 600
    door.connections.excuse(600)
    door.connections.expire()
    assert door.closed == []
    door.now += 600
    door.connections.expire()
    assert door.closed == ["good"]
