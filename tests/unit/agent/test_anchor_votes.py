"""An owner's votes at a place: checked against the charter, sent once, and again when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ME
from peers.anchor_place import member

from secureflow.agent.edge.anchorvotes import AnchorVotes
from secureflow.engines.anchors.entries import (
    Admit,
    ApproveJob,
    Remove,
    Upgrade,
    successor_word,
)
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_anchoring import Anchored

OTHER = f"file:{'ab' * 32}"


class Voting:
    """An agent with one place, and its owner's commands."""

    def __init__(self, directory: Path) -> None:
        self.agent = Anchored(directory)
        self.woken = 0
        context = self.agent.world.assembly.context
        self.votes = AnchorVotes(context, [self.agent.settings], self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def account(self, key: SigningKey, **changes: Any) -> dict[str, Any]:
        made = member(self.agent.settings.place, key).json()
        del made["kind"]
        return {"place": self.agent.settings.place, "organisation": "bank-x", **made, **changes}

    def sent(self) -> list[str]:
        return [one.entry.kind for one in self.agent.queued]


@pytest.fixture
def owner(tmp_path: Path) -> Voting:
    return Voting(tmp_path)


async def test_who_is_voted_in_is_of_the_charter_and_signed_its_account(owner: Voting) -> None:
    key = owner.agent.world.all_keys["bank-b"]
    made = await owner.votes.admit("c", owner.account(key))
    assert (made["kind"], made["organisation"], made["queued"]) == ("admit", "bank-b", 1)
    assert owner.agent.entries(Admit) == [member(owner.agent.settings.place, key)]
    (told,) = [one for one in owner.agent.world.store.actions() if one["action"] == "anchor.voted"]
    assert told["facts"]["entry"]["member"] == made_key(owner, "bank-b")
    stranger, half = SigningKey.generate(), ["00" * 32, "00" * 32]
    for wrong, code in (
        (owner.account(stranger), "anchor_untrusted"),
        (owner.account(key, signature=half), "anchor_untrusted"),
        (owner.account(key, account="11" * 32), "anchor_untrusted"),
        (owner.account(key, place=OTHER), "malformed_anchor"),
        ({}, "malformed_anchor"),
    ):
        with pytest.raises(SecureFlowError) as caught:
            await owner.votes.admit("c", wrong)
        assert caught.value.code == code
    with pytest.raises(SecureFlowError, match="anchor_unknown"):
        await owner.votes.admit("elsewhere", owner.account(key))
    assert (owner.sent(), owner.woken) == (["admit"], 1)


def made_key(owner: Voting, party: str) -> str:
    return owner.agent.account(party).hex()


async def test_who_is_voted_out_is_named_whole(owner: Voting) -> None:
    await owner.votes.remove("c", "bank-b")
    gone = "cd" * 32  # of one that the charter has no more
    await owner.votes.remove("c", gone)
    assert [one.member.hex() for one in owner.agent.entries(Remove)] == [
        made_key(owner, "bank-b"), gone,
    ]  # fmt: skip
    for wrong in ("bank-z", gone[:62], gone.upper(), made_key(owner, ME)[:8]):
        with pytest.raises(SecureFlowError, match="not_found"):
            await owner.votes.remove("c", wrong)


async def test_a_place_is_continued_at_one_of_its_make(owner: Voting) -> None:
    await owner.votes.upgrade("c", OTHER)
    assert [one.successor.hex() for one in owner.agent.entries(Upgrade)] == ["ab" * 32]
    own = owner.agent.settings.place
    for wrong in (own, "evm:1:0x" + "ab" * 20, "fabric:audit:anchor", "", "file:ab", f"{OTHER} "):
        with pytest.raises(SecureFlowError, match="malformed_anchor"):
            await owner.votes.upgrade("c", wrong)


def test_what_stands_for_a_successor() -> None:
    one, two = "evm:7:0x" + "ab" * 20, "evm:7:0x" + "cd" * 20
    assert successor_word(one, two) == bytes(12) + b"\xcd" * 20
    assert successor_word(one, two.replace("7", "8")) is None
    assert successor_word("fabric:audit:anchor", "fabric:audit:anchor2") is not None
    assert successor_word("fabric:audit:anchor", one) is None


async def test_a_vote_is_sent_again_only_when_it_ended(owner: Voting) -> None:
    made = await owner.votes.remove("c", "bank-b")
    digest = str(made["digest"])
    assert (await owner.votes.remove("c", "bank-b"))["queued"] == 0  # it is on its way
    assert (await owner.votes.again(digest))["queued"] == 0
    await owner.agent.carried()
    assert not owner.agent.queued
    assert (await owner.votes.again(digest, "c"))["queued"] == 1
    assert owner.sent() == ["remove"]
    with pytest.raises(SecureFlowError, match="not_found"):
        await owner.votes.again("00" * 32)
    with pytest.raises(SecureFlowError, match="anchor_unknown"):
        await owner.votes.again(digest, "elsewhere")


async def test_only_votes_are_sent_again(owner: Voting) -> None:
    await owner.agent.world.ask("consent", owner.agent.world.consent_body())
    await owner.agent.carried()
    (approved,) = owner.agent.entries(ApproveJob)
    with pytest.raises(SecureFlowError, match="not_found"):
        await owner.votes.again(approved.digest.hex())
    assert not owner.agent.queued
