"""The agent's own address as a whole: TLS, witness, gossip and keeper, from settings alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peers.agent_world import World

from secureflow.adapters.anchors.file import FileAnchor
from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.edge.witnessing import witnessing
from secureflow.agent.keeper.gossip import Gossip
from secureflow.agent.keeper.otherwitnesses import OtherWitnesses
from secureflow.agent.witness.hearing import GOSSIP, WITNESSES
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.engines.anchors.entries import RegisterJob, job_digest
from secureflow.kit.canonical import b64decode
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    authority, key = Authority.create(tmp_path, "bank.example", system_clock()), new_link_key()
    uri = "spiffe://bank.example/server"
    chain = authority.issue(make_csr(key), uri, system_clock(), dns=["localhost"])
    paths = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "authority")}
    paths["certificate"].write_text(chain)
    paths["key"].write_bytes(private_pem(key))
    paths["authority"].write_text(authority.pem)
    return paths


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[tuple[World, World]]:
    made = World(tmp_path / "a"), World(tmp_path / "b", me="bank-b")
    yield made
    for one in made:
        one.store.close()


def assembly(world: World, **given: Any) -> Any:
    """Return the agent as it is with these settings of `witness`."""
    settings = world.settings.model_copy(update={"witness": WitnessSettings(**given)})
    context = replace(world.assembly.context, active=ActiveSettings(settings))
    return SimpleNamespace(context=context)


async def grown(world: World, size: int) -> None:
    while world.tree.size < size:
        world.tree.append(f"{world.tree.size}".encode())
    await world.ask("cosign", {"head": world.head(), "job": ""})


async def test_two_agents_talk_witness_and_keep_over_https(
    worlds: tuple[World, World], files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping, other = worlds
    for world in worlds:
        await grown(world, 5)
    given = {
        "listen": "127.0.0.1:0",
        "tls_certificate": files["certificate"],
        "tls_key": files["key"],
        "keeper": {"founders": ("bank-a", "bank-b")},
    }
    talked, asked = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind, name, event in (
        (Gossip, "_note_standing", talked),
        (OtherWitnesses, "_set_standing", asked),
    ):
        whole = getattr(kind, name)

        def told(self: Any, *args: Any, whole: Any = whole, event: Any = event) -> None:
            whole(self, *args)
            loop.call_soon_threadsafe(event.set)

        monkeypatch.setattr(kind, name, told)
    async with witnessing(assembly(keeping, **given), keeping) as commands:
        shown: Any = await commands.show()
        url = f"https://localhost:{shown['port']}"
        key = keeping.all_keys["bank-a"].public
        reached = {"url": url, "authority": files["authority"]}
        more = {
            "gossip": {"bank-a": reached},
            "witnesses": ({"name": "bank-a", "key": key, **reached},),
        }
        async with witnessing(assembly(other, **more), other) as seen:
            await talked.wait()
            await asked.wait()
            there: Any = await seen.show()
        assert other.store.fact(GOSSIP)["bank-a"]["trouble"] is None
        # The keeper has cosigned size 5 already: the other agent learns that by the refusal.
        assert other.store.fact(WITNESSES)["bank-a"]["size"] == 5
        assert there["gossip"] == [
            {"party": "bank-a", "at": other.store.fact(GOSSIP)["bank-a"]["at"], "trouble": ""}
        ]
        await anchored(worlds, url, files)
        standing: Any = (await commands.show())["keeper"]
        assert (standing["founded"], standing["members"], standing["problem"]) == (True, 2, "")


async def anchored(worlds: tuple[World, World], url: str, files: dict[str, Path]) -> None:
    """Anchor something; who is somebody else, and who trusts nobody, reaches nothing."""
    keeping, other = worlds
    raw = b64decode(keeping.all_keys["bank-a"].public, 64)
    key, clock = other.all_keys["bank-b"], other.assembly.context.clock
    anchor = FileAnchor(key, raw, url, clock, files["authority"])
    ticket = await anchor.prepare([RegisterJob(job_digest("job_1"), b"\x05" * 32)], ())
    await anchor.send(ticket)
    assert (await anchor.outcome(ticket)).results == ("kept",)
    untrusting = FileAnchor(key, raw, url, clock)  # the system knows no such authority
    impostor = FileAnchor(key, b"\x09" * 32, url, clock, files["authority"])
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await untrusting.send(ticket)
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        await impostor.send(await impostor.prepare([RegisterJob(raw, raw)], ()))
    for one in (anchor, untrusting, impostor):
        await one.close()


async def test_who_set_nothing_opens_nothing(worlds: tuple[World, World]) -> None:
    world, _ = worlds
    async with witnessing(assembly(world), world) as commands:
        shown: Any = await commands.show()
    assert (shown["port"], shown["listen"], shown["keeper"]) == (None, "", None)


async def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_named(
    worlds: tuple[World, World], tmp_path: Path
) -> None:
    world, other = worlds
    async with witnessing(assembly(world, listen="127.0.0.1:0"), world) as commands:
        shown: Any = await commands.show()
        taken = assembly(other, listen=f"127.0.0.1:{shown['port']}")
        with pytest.raises(SecureFlowError, match="address_unavailable"):
            await witnessing(taken, other).__aenter__()
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    given = {"listen": "127.0.0.1:0", "tls_certificate": bad, "tls_key": bad}
    with pytest.raises(SecureFlowError, match="invalid_settings"):
        await witnessing(assembly(other, **given), other).__aenter__()
