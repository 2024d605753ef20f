"""A malicious operator, or a thief of the old key, against an agent while the log's key changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ME, ORIGIN

from secureflow.domain.charter import SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.security.test_continuation import NAME, Operator, entries, world

__all__ = ["world"]
NEW = SigningKey.from_seed(b"\x0c" * 32)
SIZE = 12


def change(world: Operator, **lies: Any) -> SignedCharter:
    """The change that an honest operator would draft, or another one, fully signed."""
    world.keep(*entries(world))
    head = lies.pop("head", world.head())
    size, root = lies.pop("end", (SIZE, world.kept.root().hex()))
    last = Continuation(
        ORIGIN, size, root, head, size, root, lies.pop("old", world.log_key.public), "stolen"
    )
    charter = replace(
        world.charter, version=2, previous=world.charter.digest, origin=NAME,
        log_key=lies.pop("new", NEW).public, continuations=(last,), **lies,
    )  # fmt: skip
    return world.signed_by_all(charter)


async def changed(world: Operator) -> None:
    draft = change(world)
    await world.continuations.check(draft)
    world.assembly.context.charter.pin(draft)
    world.continuations.apply()


async def refused(world: Operator, draft: SignedCharter) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await world.continuations.check(draft)
    assert caught.value.code in {"continuation_refused", "charter_mismatch"}, caught.value
    return caught.value.message


def proofs(world: Operator, size: int) -> dict[str, Any]:
    proof = [one.hex() for one in world.kept.consistency_proof(SIZE, size)]
    return {"consistency": {"from": SIZE, "to": size, "proof": proof}, "inclusion": []}


async def test_the_new_key_is_followed_and_the_old_one_signs_nothing_more(world: Operator) -> None:
    await changed(world)
    witness = world.assembly.context.witness
    assert (witness.view.origin, witness.view.log_key) == (NAME, NEW.public)
    assert witness.view.size == SIZE
    assert world.store.lost_leaves(9) == []  # nothing is lost
    world.kept.append(b"log.continued")
    head = Checkpoint(NAME, SIZE + 1, world.kept.root())
    stolen = sign_checkpoint(head, world.log_key)
    with pytest.raises(SecureFlowError) as caught:
        await witness.observe(stolen, proofs(world, SIZE + 1))
    assert caught.value.code == "ledger_bad_signature"
    observed = await witness.observe(sign_checkpoint(head, NEW), proofs(world, SIZE + 1))
    with world.store.transaction():
        witness.keep(observed)
    assert witness.view.size == SIZE + 1
    assert witness.cosign(sign_checkpoint(head, NEW))


@pytest.mark.parametrize("shown", ["with a reply", "as the log's state"])
@pytest.mark.parametrize("size", [SIZE, SIZE + 1])
async def test_a_head_under_the_old_key_after_its_end_is_an_alarm_with_proof(
    world: Operator, size: int, shown: str
) -> None:
    await changed(world)
    witness = world.assembly.context.witness
    stolen = sign_checkpoint(Checkpoint(ORIGIN, size, b"\x05" * 32), world.log_key)
    judged = witness.observe(stolen, {}) if shown == "with a reply" else witness.check_key(stolen)
    with pytest.raises(SecureFlowError) as caught:
        await judged
    assert caught.value.code == "ledger_key_ended"
    alarm = world.store.fact("alarm")
    assert alarm["details"]["shown"] == stolen
    evidence = json.loads(Path(alarm["details"]["evidence"]).read_text())  # noqa: ASYNC240
    assert evidence["log_key"] == world.log_key.public
    assert evidence["fraud_proof"] is (size == SIZE)


async def test_what_anybody_else_signs_under_the_old_name_raises_no_alarm(world: Operator) -> None:
    await changed(world)
    witness = world.assembly.context.witness
    for note in (
        sign_checkpoint(Checkpoint(ORIGIN, SIZE + 1, b"\x05" * 32), SigningKey.generate()),
        world.head(),  # the very head with which the key ended
    ):
        await witness.check_key(note)
    assert world.store.fact("alarm") is None


@pytest.mark.parametrize("case", ["smaller", "forked", "unsigned", "another key ends"])
async def test_a_change_that_contradicts_what_the_agent_saw_is_not_signed(
    world: Operator, case: str
) -> None:
    old, root = world.log_key, "ab" * 32
    lies: dict[str, dict[str, Any]] = {
        "smaller": {
            "end": (7, root),
            "head": sign_checkpoint(Checkpoint(ORIGIN, 7, bytes.fromhex(root)), old),
        },
        "forked": {
            "end": (SIZE, root),
            "head": sign_checkpoint(Checkpoint(ORIGIN, SIZE, bytes.fromhex(root)), old),
        },
        "unsigned": {
            "head": sign_checkpoint(Checkpoint(ORIGIN, SIZE, world.tree.root()), NEW),
        },
        "another key ends": {"old": SigningKey.generate().public},
    }
    await refused(world, change(world, **lies[case]))
    assert world.assembly.context.charter.pinned() == world.charter


async def test_another_new_key_than_the_one_that_was_signed_is_not(world: Operator) -> None:
    draft = change(world)
    await world.continuations.check(draft)
    world.continuations.record_signature(draft)
    other = change(world, new=SigningKey.generate())
    assert "was signed here" in await refused(world, other)
    assert not world.continuations.has_signed(other)
    swapped = SignedCharter(other.charter, draft.signatures)
    with pytest.raises(SecureFlowError) as caught:
        world.assembly.context.charter.pin(swapped)
    assert caught.value.code == "charter_not_signed"


async def test_an_old_change_is_not_replayed(world: Operator) -> None:
    first = change(world)
    await changed(world)
    with pytest.raises(SecureFlowError) as caught:  # the same end once more, under a third key
        world.assembly.context.charter.pin(change(world, new=SigningKey.generate()))
    assert caught.value.code == "charter_mismatch"
    world.assembly.context.charter.pin(first)  # the very same is no change
    assert world.assembly.context.charter.pinned().log_key == NEW.public


@pytest.mark.parametrize("many", [1, 2])
async def test_two_thirds_that_are_not_reached_change_nothing(world: Operator, many: int) -> None:
    draft = change(world)
    few = SignedCharter(draft.charter, dict(sorted(draft.signatures.items())[:many]))
    with pytest.raises(SecureFlowError) as caught:
        world.assembly.context.charter.pin(few)
    assert caught.value.code == "charter_not_signed"
    assert ME in world.charter.keys
