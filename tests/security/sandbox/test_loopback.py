"""A process with a loopback of its own: it talks TCP with itself, and reaches nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.security.sandbox.conftest import World
from tests.security.sandbox.test_escapes import NAMES, wanted

ITS_OWN = {"sockets": ["2/1/0"]}
"""Streams of IPv4: no datagrams, no IPv6, no Unix sockets, no vsock, no netlink."""
COUNTED = "a counted name"
"""`bind` is TCP's too, and no filter sees of which socket; Linux counts no names since 6.0."""


@pytest.fixture(scope="module")
def seen(world: World) -> dict[str, Any]:
    """Try every attack in one process that has a loopback."""
    attacks = wanted(world)
    return dict(zip(attacks, world.attack(list(attacks.values()), loopback=True), strict=True))


@pytest.mark.parametrize("name", [one for one in NAMES if one not in {"host", "folder", COUNTED}])
def test_nothing_else_is_reached(seen: dict[str, Any], name: str) -> None:
    assert (seen[name] or []) == ITS_OWN.get(name, [])


def test_it_reaches_itself_and_no_other_network(world: World) -> None:
    attacks = [("itself", {}), ("abroad", {})]
    assert world.attack(attacks, loopback=True) == [True, []]
    assert world.attack([("itself", {})]) == [False]


def test_its_network_is_what_keeps_it_from_the_hosts(world: World) -> None:
    """The filter lets TCP through: without a network of its own it would reach the host's."""
    attack = [("connect", {"port": world.tcp})]
    assert world.attack(attack, ("network",), loopback=True) == [True]
    assert world.attack(attack, loopback=True) == [False]
