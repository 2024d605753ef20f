"""Places on a real chain for tests: anvil, and members with charter keys and accounts.

    python -m tests.peers.chains    # `.ci/run` does it

anvil is installed once for all tests of a machine, below ~/.cache. Where it cannot be had that is
said; with SECUREFLOW_DEMAND_ANVIL=1 (`.ci/run`) it is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import itertools
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from secureflow.adapters.anchors.evm.development import anvil
from secureflow.application.ports.anchor import Outcome
from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import state as states
from secureflow.kit.errors import SecureFlowError
from tests.peers.verifiers import node

DEMANDED: Final = "SECUREFLOW_DEMAND_ANVIL"
EXTRA: Final = ("eth_account", "eth_abi", "coincurve")
_worlds = itertools.count()


def place() -> Path:
    """Return the folder that anvil is installed in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "secureflow-engines" / "anvil"


def node_and_npm() -> tuple[str, list[str]] | None:
    """Return the commands of Node.js: the system's, or those that `make web` installs without."""
    if (program := node()) is None:
        return None
    cli = Path(program).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if shutil.which("npm"):
        return program, ["npm"]
    return (program, [program, str(cli)]) if cli.is_file() else None


@cache
def lacking() -> str:
    """Say what is missing; nothing if there is a chain to test on."""
    if any(importlib.util.find_spec(one) is None for one in EXTRA):
        return "the extra evm is not installed"
    place().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with place().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other runs of the tests on this machine
        try:
            found = node_and_npm()
            npm = found[1] if found else ["npm"]
            _ = anvil.program(place()) or anvil.install(place(), npm)
        except SecureFlowError as error:
            return str(error)
    return ""


def demand_anvil() -> Path:
    """Return its program; skip, or fail where it is demanded, without one."""
    told = f"ANVIL NOT TESTED: {lacking()}"
    if not lacking():
        program = anvil.program(place())
        assert program is not None
        return program
    if os.environ.get(DEMANDED):
        pytest.fail(f"{told}, and {DEMANDED} is set")
    pytest.skip(f"{told}; {DEMANDED}=1 makes this a failure")


@contextlib.contextmanager
def chain(*options: str) -> Iterator[str]:
    """Run a chain of the demanded anvil; yields its URL."""
    with anvil.running(demand_anvil(), "--accounts", "1", *options) as url:
        yield url


def word(*values: object) -> bytes:
    """Return a 32-byte value that stands for these."""
    return hashlib.sha256(repr(values).encode()).digest()


HALVES: Final = (word("r"), word("s"))


class Party:
    """A charter key and an account: a member, if a place has it."""

    def __init__(self, *name: object) -> None:
        from secureflow.adapters.anchors.evm.account import EvmAccount

        self._signing = Ed25519PrivateKey.from_private_bytes(word("key", *name))
        self.key = self._signing.public_key().public_bytes_raw()
        self.account = EvmAccount(word("account", *name))

    def binding(self, place: str) -> e.Admit:
        made = self._signing.sign(e.binding(place, self.key, self.account.word))
        return e.Admit(self.key, self.account.word, (made[:32], made[32:]))


@dataclass
class World:
    """A place on a chain: its members, and others who are none."""

    rpc: Any
    settings: Any
    creator: Party
    parties: list[Party]
    others: list[Party]
    window: int

    @property
    def place(self) -> str:
        return str(self.settings.place)

    def anchor(self, party: Party | None, **changes: Any) -> Any:
        """Return the place as a party sees it; its connections end with the world."""
        from secureflow.adapters.anchors.evm.driver import EvmAnchor

        settings = replace(self.settings, **changes)
        return EvmAnchor(settings, None if party is None else party.account, self.rpc)

    def state(self) -> states.State:
        """Return the state with which the rules judge the same."""
        members = [one.binding(self.place) for one in self.parties]
        made = [states.Member(one.member, one.account, one.signature) for one in members]
        return states.found(self.place, made, self.window, checks=False)

    async def pass_time(self, seconds: int) -> None:
        await self.rpc.ask("evm_increaseTime", seconds)
        await self.rpc.ask("evm_mine")

    async def time_of(self, block: int) -> int:
        return int((await self.rpc.ask("eth_getBlockByNumber", hex(block), False))["timestamp"], 16)

    async def do(self, party: Party, *entries: e.Entry) -> Outcome:
        """Send entries as one transaction; return what became of it."""
        anchor: Any = self.anchor(party)
        anchor._is_member = lambda _: True  # the contract alone judges who may send
        return await carried(anchor, entries)

    async def results(self, party: Party, *entries: e.Entry) -> list[str]:
        """As `do`: the results, a refusal with its reason."""
        outcome = await self.do(party, *entries)
        said = zip(outcome.results, outcome.reasons, strict=True)
        return [f"{result} {reason}".strip() for result, reason in said]


async def carried(anchor: Any, entries: Sequence[e.Entry]) -> Outcome:
    """Send entries as one transaction and wait until it is final."""
    ticket = await anchor.prepare(entries, [])
    await anchor.send(ticket)
    return await finished(anchor, ticket)


async def finished(anchor: Any, ticket: Any) -> Outcome:
    """Wait until a ticket is final or lost."""
    while True:
        outcome: Outcome = await anchor.outcome(ticket)
        if outcome.state != "waiting":
            return outcome
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def world(
    url: str, members: int = 4, window: int = 100, others: int = 2, target: str = "paris"
) -> AsyncIterator[World]:
    """Make a place of its own on a chain."""
    from secureflow.adapters.anchors.evm.deploying import deploy, planned
    from secureflow.adapters.anchors.evm.rpc import Rpc
    from secureflow.adapters.anchors.evm.settings import EvmSettings

    number, rpc = next(_worlds), Rpc(url)
    try:
        creator = Party(number, "creator")
        parties = [Party(number, i) for i in range(members)]
        name = await planned(rpc, creator.account.address)
        bound = [one.binding(name) for one in parties]
        assert await deploy(rpc, creator.account, bound, window, target=target) == name
        _, chain_id, contract = name.split(":")
        settings = EvmSettings(url, int(chain_id), contract, confirmations=0)
        outside = [Party(number, "other", i) for i in range(others)]
        yield World(rpc, settings, creator, parties, outside, window)
    finally:
        await rpc.close()


if __name__ == "__main__":
    sys.stdout.write(f"anvil: {lacking() or anvil.program(place())}\n")
    sys.exit(bool(lacking()))
