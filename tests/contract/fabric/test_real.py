"""The driver against a real network: docs/fabric.md has the variables and the commands."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from secureflow.adapters.anchors.fabric.driver import FabricAnchor, FabricKeys, FabricPlace
from secureflow.engines.anchors.entries import AnchorHead
from secureflow.kit.keyfiles import plain_keys
from tests.peers.fabric_world import python

TOLD = "no real Fabric network: SECUREFLOW_FABRIC_TARGET is not set (docs/fabric.md)"
pytestmark = pytest.mark.skipif("SECUREFLOW_FABRIC_TARGET" not in os.environ, reason=TOLD)


def said(name: str, default: str = "") -> str:
    return os.environ.get(f"SECUREFLOW_FABRIC_{name}", default)


def file(name: str) -> bytes:
    return Path(said(name)).read_bytes()


@pytest.fixture
async def anchor() -> AsyncIterator[FabricAnchor]:
    where = FabricPlace(
        target=said("TARGET"),
        ca=file("TLS_CA"),
        channel=said("CHANNEL", "audit"),
        chaincode=said("CHAINCODE", "anchor"),
        msp=said("MSP"),
        certificate=file("CERTIFICATE"),
        host=said("HOST"),
        wait=20.0,
    )
    files, key = plain_keys(), Path(said("KEY"))
    made = FabricAnchor(where, python, lambda: FabricKeys(files.read(key, "fabric-identity")))
    yield made
    await made.close()


def head(log: bytes, size: int, root: int) -> AnchorHead:
    return AnchorHead(log, size, bytes([root]) * 32, (b"s" * 32, b"t" * 32))


async def test_a_real_network_keeps_what_it_is_sent(anchor: FabricAnchor) -> None:
    probe = await anchor.probe()
    assert not probe.problem, probe
    log = secrets.token_bytes(32)
    entries = [head(log, 1, 1), head(log, 1, 2), head(log, 1, 1)]
    ticket = await anchor.prepare(entries, [])
    for _ in range(2):
        await anchor.send(ticket)
    outcome = await anchor.outcome(ticket)
    assert (outcome.state, outcome.results) == ("final", ("kept", "fork", "known"))
    assert await anchor.checked(outcome.receipt, entries[2])
    assert [one.root[0] for one in await anchor.heads(log)] == [1, 2]
    cursor, seen = None, list[int]()
    while len(seen) < 2:
        page = await anchor.happened(cursor)
        cursor = page.cursor
        mine = (one.entry for one in page.events if one.transaction == ticket.id)
        seen += [one.root[0] for one in mine if isinstance(one, AnchorHead)]
    assert seen == [1, 2]


async def test_a_real_network_lets_one_of_two_win(anchor: FabricAnchor) -> None:
    log = secrets.token_bytes(32)
    tickets = [await anchor.prepare([head(log, 1, root)], []) for root in (1, 2)]
    for ticket in tickets:
        await anchor.send(ticket)
    states = sorted([(await anchor.outcome(ticket)).state for ticket in tickets])
    assert states == ["final", "lost"]
