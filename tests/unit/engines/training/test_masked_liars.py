"""Masked rounds with one party that lies, and stores that lose what they held.

Where the others suffice the sum is exact without the party; where they do not, nothing is opened
and the party is named. One party's bad words never stop the others where they need not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.secagg import messages
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned

from .masked_world import Fault, MaskedWorld
from .test_masked_script import course, survivors

pytestmark = pytest.mark.slow

LIAR = "bank-b"
Lie = Callable[[MaskedWorld, dict[str, Any]], dict[str, Any]]


@dataclass
class _At:
    """Lies once, at the nth answer to a verb."""

    verb: str
    lie: Lie
    nth: int = 0
    world: MaskedWorld | None = None

    def __call__(self, party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        assert self.world is not None
        now = (party, verb, self.world.visits[party, verb] - 1) == (LIAR, self.verb, self.nth)
        return self.lie(self.world, reply) if now else reply


def tell(lie: _At, protection: str = "secagg", **facts: Any) -> tuple[MaskedWorld, Any]:
    """Run a course of four in which one party lies."""
    world = MaskedWorld(count=4, rounds=2, protection=protection, liar=lie, **facts)
    lie.world = world
    return world, course(world)


def sets(world: MaskedWorld) -> list[int]:
    return [len(parties) for _, _, parties in survivors(world)]


def dropped(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["party"], one["code"]) for one in report["dropouts"]}


def no_frame(_: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    return {**reply, "upload": b64encode(b"no frame")}


def no_upload(_: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    return {**reply, "upload": None}


def bad_advance(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    """The keys of the next round are signed for another sealing key."""
    upload, body = messages.unpack(world.plans["train"], b64decode(reply["upload"]))
    forged = _forged(world, upload.advance.round_key)
    advance = messages.Advance(forged, upload.advance.recipients)
    changed = messages.Upload(upload.round, upload.context, advance)
    return {**reply, "upload": b64encode(messages.pack(changed, bytes(body)))}


def _forged(world: MaskedWorld, key: messages.RoundKey) -> messages.RoundKey:
    facts = {**messages.signed_body(key), "sealing": "ab" * 32}
    signature = world.keys[LIAR].sign("secagg_round_key", facts)
    return messages.RoundKey(**facts, signature=signature)


FRAMES = [
    (no_frame, "malformed_frame"),
    (no_upload, "malformed_frame"),
    (bad_advance, "unknown_setup"),
]


@pytest.mark.parametrize(("lie", "code"), FRAMES, ids=[lie.__name__ for lie, _ in FRAMES])
def test_a_bad_upload_frame_leaves_the_party_out(lie: Lie, code: str) -> None:
    world, report = tell(_At("mask", lie))
    assert sets(world) == [3, 4, 4]
    assert dropped(report) == {(LIAR, code)}


@pytest.mark.parametrize(("lie", "code"), FRAMES, ids=[lie.__name__ for lie, _ in FRAMES])
def test_a_bad_upload_frame_of_a_vector_that_is_folded_costs_nothing(lie: Lie, code: str) -> None:
    """The enclave has added it: the sum of all opens, and the party brings its keys again."""
    world, report = tell(_At("mask", lie), "sealed+secagg")
    assert sets(world) == [4, 4, 4]
    assert not isinstance(report, SecureFlowError)


def _spoil(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    total = world.sums[1, "train"]
    plan = world.plans["train"]
    rubbish = np.arange(1, plan.encoding.slots + 1).astype(plan.ring)
    total._total += rubbish
    return no_frame(world, reply)


def test_a_bad_frame_of_a_vector_that_spoils_the_sum_is_named() -> None:
    world, end = tell(_At("mask", _spoil), "sealed+secagg")
    assert isinstance(end, SecureFlowError)
    assert (end.code, end.details["parties"]) == ("round_lost", [LIAR])
    assert LIAR in end.message
    assert "malformed" in end.message
    assert survivors(world) == []
    told = next(e["document"] for e in world.entries if e.get("kind") == "job.finished")
    assert (told["outcome"], told["error"]) == ("failed", "round_lost")
    leaves = [leaf_from_json(e["signed"]).leaf for e in world.entries if "signed" in e]
    assert (LIAR, "update") in {(leaf.author, leaf.kind) for leaf in leaves}


def _pretend(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    """It says that its vector is there, and it is not."""
    world.folded.get((1, "train"), set()).discard(LIAR)
    world.scratch.store.blobs.pop(reply["vector"], None)
    return reply


def test_a_vector_that_never_came_leaves_the_party_out() -> None:
    world, report = tell(_At("mask", _pretend))
    assert sets(world) == [3, 4, 4]
    assert dropped(report) == {(LIAR, "vector_missing")}


def test_a_vector_that_the_enclave_never_got_is_named() -> None:
    world, end = tell(_At("mask", _pretend), "sealed+secagg")
    assert isinstance(end, SecureFlowError)
    assert (end.code, end.details["parties"]) == ("round_lost", [LIAR])
    assert survivors(world) == []


def test_a_vector_of_nobody_of_the_round_is_named() -> None:
    """A party without keys of the round uploads to the enclave all the same."""

    def intrude(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
        world.folded[1, "train"].add("bank-d")
        return reply

    away = [Fault("bank-d", verb, n) for verb in ("setup", "advance") for n in range(2)]
    world, end = tell(_At("mask", intrude), "sealed+secagg", faults=away)
    assert isinstance(end, SecureFlowError)
    assert (end.code, end.details["parties"]) == ("round_lost", ["bank-d"])
    assert survivors(world) == []


@pytest.mark.parametrize("verb", ["setup", "advance"])
def test_bad_keys_leave_the_party_out_until_it_brings_good_ones(verb: str) -> None:
    def lie(_: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, f"{verb}s": dict.fromkeys(reply[f"{verb}s"], b64encode(b"no keys"))}

    world, report = tell(_At(verb, lie))
    assert sets(world) == [4, 4, 4]
    assert dropped(report) >= {(LIAR, "malformed_frame")}


def test_shares_for_too_few_cost_the_one_who_omits_them() -> None:
    """A party cannot push another one out by not sealing to it."""

    def omit(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
        frames = {}
        for stage, text in reply["advances"].items():
            advance, body = messages.unpack(world.plans[stage], b64decode(text))
            fewer = messages.Advance(advance.round_key, advance.recipients[1:])
            shares = bytes(body[messages.SEALED_BYTES :])
            frames[stage] = b64encode(messages.pack(fewer, shares))
        return {**reply, "advances": frames}

    both = _At("advance", omit)
    world = MaskedWorld(
        count=4, rounds=1,
        liar=lambda party, verb, reply: (
            both.lie(world, reply) if (party, verb) == (LIAR, "advance") else reply
        ),
    )  # fmt: skip
    report = course(world)
    assert not isinstance(report, SecureFlowError)
    assert {party for party, _ in dropped(report)} == {LIAR}
    assert sets(world) == [3, 3]


@pytest.mark.parametrize("code", ["not_admitted", "enclave_lost"])
def test_nobody_loses_an_enclave_that_is_not_there(code: str) -> None:
    world = MaskedWorld(count=4, rounds=1)
    world.refuse[LIAR, "mask"] = SecureFlowError(code, f"{LIAR} misses an enclave")
    report = course(world)
    assert not isinstance(report, SecureFlowError)
    assert dropped(report) == {(LIAR, code)}
    assert report["generations"] == 0


def _wrong_shares(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    opening, body = messages.unpack(world.plans["train"], b64decode(reply["answer"]))
    wrong = bytes(body[:-1]) + bytes([body[-1] ^ 1])
    return {**reply, "answer": b64encode(messages.pack(opening, wrong))}


def test_a_wrong_share_is_found_out_and_named() -> None:
    world, report = tell(_At("answer", _wrong_shares))
    assert sets(world) == [4, 4, 4]
    assert dropped(report) == {(LIAR, "share_mismatch")}


def _lose(world: MaskedWorld, reply: dict[str, Any]) -> dict[str, Any]:
    world.scratch.store.blobs.clear()
    return reply


def test_vectors_that_the_centre_lost_are_sent_once_more() -> None:
    world, report = tell(_At("answer", _lose))
    assert sets(world) == [4, 4, 4]
    assert not isinstance(report, SecureFlowError)


def test_another_vector_than_the_certified_one_is_not_taken() -> None:
    lose = _At("answer", _lose)

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) == (LIAR, "mask") and world.visits[party, verb] == 2:
            other = b64decode(reply["upload"]) * 100
            size = world.plans["train"].vector_bytes
            return {**reply, "vector": world.scratch.store.keep(other[:size])}
        return lose(party, verb, reply)

    world = MaskedWorld(count=4, rounds=2, liar=lie)
    lose.world = world
    end = course(world)
    assert isinstance(end, SecureFlowError)
    assert (end.code, end.details["parties"]) == ("round_lost", [LIAR])
    assert survivors(world) == []


@pytest.mark.parametrize("lost_at", thinned(range(1, 24), 3, pytest.mark.full))
def test_an_enclave_lost_anywhere_beside_a_dropout(lost_at: int) -> None:
    """One of the places is the `roll` that follows a lost answer."""
    fault = Fault("bank-c", "mask", after=True)
    world = MaskedWorld(
        count=4, rounds=2, protection="sealed+secagg", faults=[fault], lose_enclave_at=lost_at
    )
    assert not isinstance(course(world), SecureFlowError)
