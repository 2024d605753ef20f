"""What is shown of the centre's charters is what is signed, and what is pinned."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.agent.edge.commands import Commands
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.continuations import Continuations
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

KEYS = {f"bank-{c}": SigningKey.generate() for c in "abc"}
LOG = SigningKey.generate()
MEMBERS = tuple(Member(name, name, key.public) for name, key in KEYS.items())


def charter(version: int = 1, previous: str = "", origin: str = "log.example") -> Charter:
    return Charter(version, "example.org", origin, LOG.public, MEMBERS, previous)


def signed(one: Charter, *names: str) -> SignedCharter:
    made = SignedCharter(one)
    for name in names:
        made = made.sign(name, KEYS[name])
    return made


class Centre:
    """A link to a centre that shows these charters, and may change its mind in between."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.connected.set()
        self.current: SignedCharter | None = None
        self.candidate: SignedCharter | None = None
        self.received: list[dict[str, Any]] = []

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "charter.sign":
            self.received.append(body)
            return {}
        shown = {"current": self.current, "candidate": self.candidate}
        return {name: one and one.json() for name, one in shown.items()}


@pytest.fixture(name="centre")
def _centre() -> Centre:
    return Centre()


@pytest.fixture(name="commands")
def _commands(tmp_path: Path, centre: Centre) -> Commands:
    store = RecordStore(tmp_path / "a.db")
    pinning = PinnedCharter(store, "bank-a", KEYS["bank-a"], lambda: 1000)
    witness: Any = SimpleNamespace(troubled=False)
    ending: Any = None
    link: Any = centre
    continuations = Continuations(store, witness, pinning, lambda: 1000, link.call, ending)
    context = SimpleNamespace(charter=pinning, witness=witness)
    assembly: Any = SimpleNamespace(context=context, continuations=continuations)
    describing: Any = SimpleNamespace()
    return Commands(assembly, link, describing, describing, describing)


def digest_of(told: dict[str, Any]) -> str:
    return str(told["fingerprints"]["candidate"]["digest"])


async def test_from_the_draft_to_the_pinned_charter(commands: Commands, centre: Centre) -> None:
    first = charter()
    centre.candidate = SignedCharter(first)
    told = await commands.charter_show()
    assert digest_of(told) == first.digest
    await commands.charter_sign(digest_of(told))
    assert centre.received[-1]["digest"] == first.digest
    centre.candidate = signed(first, "bank-a")  # one of three: what the operator would like pinned
    with pytest.raises(SecureFlowError) as error:
        await commands.charter_pin(None, first.digest)
    assert error.value.code == "charter_not_signed"
    assert error.value.details["missing"] == ["bank-b", "bank-c"]
    centre.current, centre.candidate = signed(first, *KEYS), None
    await commands.charter_pin(None, first.digest)
    await commands.charter_pin(None, first.digest)  # again changes nothing
    assert (await commands.charter_show())["candidate"] is None
    with pytest.raises(SecureFlowError) as error:
        await commands.charter_sign(first.digest)
    assert error.value.code == "charter_missing"


async def test_a_change_is_shown_before_it_is_signed(commands: Commands, centre: Centre) -> None:
    """Once version 1 is adopted, what is shown is version 2, which waits, and not version 1."""
    first = charter()
    second = charter(2, first.digest)
    centre.current, centre.candidate = signed(first, *KEYS), SignedCharter(second)
    await commands.charter_pin(None, first.digest)
    assert digest_of(await commands.charter_show()) == second.digest
    with pytest.raises(SecureFlowError) as error:
        await commands.charter_sign(first.digest)
    assert error.value.code == "charter_not_confirmed"
    await commands.charter_sign(second.digest)
    assert centre.received[-1]["digest"] == second.digest


async def test_a_charter_swapped_between_show_and_sign_is_not_signed(
    commands: Commands, centre: Centre
) -> None:
    centre.candidate = SignedCharter(charter())
    shown = digest_of(await commands.charter_show())
    centre.candidate = SignedCharter(charter(origin="log.evil"))
    with pytest.raises(SecureFlowError) as error:
        await commands.charter_sign(shown)
    assert error.value.code == "charter_not_confirmed"
    assert centre.received == []
