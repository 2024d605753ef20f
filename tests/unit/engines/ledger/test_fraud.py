"""A file that convicts a log, and what is no proof."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.fraud import convict, verify_fraud
from secureflow.engines.ledger.merkle import MemoryTree, prefix_root
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, sign_checkpoint
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LOG = SigningKey.from_seed(b"\x05" * 32)
ORIGIN = "log.example/one"
MEMBERS = {name: SigningKey.from_seed(name.encode().ljust(32)) for name in ("bank-a", "bank-b")}
CHARTER = Charter(
    1,
    "example.org",
    ORIGIN,
    LOG.public,
    tuple(Member(name, name, key.public) for name, key in MEMBERS.items()),
)


def signed() -> SignedCharter:
    made = SignedCharter(CHARTER)
    for name, key in MEMBERS.items():
        made = made.sign(name, key)
    return made


def tree_of(size: int, salt: str = "", same: int = 0) -> MemoryTree:
    tree = MemoryTree()
    tree.append(*(f"{'' if at < same else salt}{at}".encode() for at in range(size)))
    return tree


def note(tree: MemoryTree, size: int, key: SigningKey = LOG) -> str:
    return sign_checkpoint(Checkpoint(ORIGIN, size, tree.root(size)), key)


def two_roots() -> dict[str, Any]:
    made = convict(note(tree_of(6), 6), note(tree_of(6, "x"), 6), LOG.public, charter=signed())
    assert made is not None
    return made


def other_prefix(small: int = 6, large: int = 9) -> dict[str, Any] | None:
    fork = tree_of(20, "x", same=2)
    return convict(
        note(tree_of(small), small),
        note(fork, large),
        LOG.public,
        fork.consistency_proof(small, large),
        fork.consistency_proof(small + 1, large) if small + 1 < large else [],
        signed(),
    )


def test_two_roots_of_one_size_convict_with_the_readers_charter_or_key() -> None:
    made = json.loads(json.dumps(two_roots()))
    verdict = verify_fraud(made, CHARTER)
    assert (verdict.ok, verdict.case, verdict.sizes) == (True, "two_roots", (6, 6))
    assert verify_fraud(made, key=LOG.public).ok
    alone = verify_fraud(made)
    assert (alone.ok, alone.status) == (False, "proved, unauthenticated")
    assert alone.charter == CHARTER.digest


@pytest.mark.parametrize("small", range(3, 12))
def test_another_prefix_in_the_larger_tree_convicts(small: int) -> None:
    for large in range(small + 2, 16):
        made = other_prefix(small, large)
        assert made is not None
        assert verify_fraud(made, CHARTER).case == "other_prefix"


def test_an_honest_log_is_never_convicted() -> None:
    tree = tree_of(20)
    for small in range(1, 20):
        for large in range(small, 20):
            proof = tree.consistency_proof(small, large)
            nodes = tree.consistency_proof(min(small + 1, large), large)
            pair = note(tree, small), note(tree, large)
            assert convict(*pair, LOG.public, proof, nodes) is None
            assert convict(*pair, LOG.public, [b"\1" * 32], [b"\2" * 32]) is None
            assert convict(*pair[::-1], LOG.public, proof[::-1], proof) is None
            if small < large:
                nodes.append(tree.root(small))
                found = prefix_root(small, large, tree.root(large), proof, nodes)
                assert found == tree.root(small)


def test_a_shorter_head_alone_and_heads_of_another_key_convict_nobody() -> None:
    assert convict(note(tree_of(9, "x"), 9), note(tree_of(6), 6), LOG.public) is None
    other = SigningKey.generate()
    assert convict(note(tree_of(6), 6), note(tree_of(6, "x"), 6, other), LOG.public) is None
    assert convict("", "x", LOG.public) is None


def test_cosignatures_are_left_out() -> None:
    line = cosign(note(tree_of(6), 6), "w", SigningKey.generate(), 7)
    made = convict(attach(note(tree_of(6), 6), [line]), note(tree_of(6, "x"), 6), LOG.public)
    assert made is not None
    assert made["notes"] == [note(tree_of(6), 6), note(tree_of(6, "x"), 6)]


def _nothing(bad: dict[str, Any]) -> bool:
    """Tell whether a file is refused, or said to prove nothing and why."""
    try:
        verdict = verify_fraud(bad, CHARTER)
    except SecureFlowError as error:
        return error.code in {"malformed_fraud", "malformed_note", "malformed_charter"}
    return not verdict.ok and bool(verdict.failures)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [one for name in value for one in _places(value[name], (*path, name))]
    if isinstance(value, list):
        return [one for at, _ in enumerate(value) for one in _places(value[at], (*path, at))]
    return [path]


def _changed(value: Any) -> list[Any]:
    if isinstance(value, str) and value:
        at = len(value) // 2
        other = "1" if value[at] != "1" else "2"
        return [value[:at] + other + value[at + 1 :], "", None, 7, [value]]
    return ["x", 7, [1]]


@pytest.mark.parametrize("made", [two_roots(), other_prefix()], ids=["two_roots", "other_prefix"])
def test_a_file_that_is_changed_anywhere_proves_nothing(made: dict[str, Any]) -> None:
    assert verify_fraud(made, CHARTER).ok
    tried = 0
    for place in _places(made):
        for other in _changed(_at(made, place)):
            bad = copy.deepcopy(made)
            _at(bad, place[:-1])[place[-1]] = other
            assert _nothing(bad), place
            tried += 1
    assert tried > 50
    for name in made:
        with pytest.raises(SecureFlowError, match="malformed_fraud"):
            verify_fraud({key: one for key, one in made.items() if key != name})
    with pytest.raises(SecureFlowError, match="malformed_fraud"):
        verify_fraud(made | {"more": 1})
    swapped = made | {"notes": made["notes"][::-1]}
    assert verify_fraud(swapped, CHARTER).ok is (made["prefix"] is None)
    same = made | {"notes": [made["notes"][0]] * 2}
    assert not verify_fraud(same, CHARTER).ok


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for one in place:
        value = value[one]
    return value


def test_another_charter_or_key_convicts_nobody() -> None:
    made, other = two_roots(), SigningKey.generate().public
    foreign = Charter(1, "example.org", ORIGIN, other, CHARTER.members)
    assert verify_fraud(made, foreign).status == "not proved"
    assert verify_fraud(made, key=other).status == "not proved"
    assert verify_fraud(made | {"charter": SignedCharter(CHARTER).json()}, CHARTER).failures
    assert verify_fraud(made | {"charter": None}, CHARTER).ok


def test_whoever_stole_a_key_that_ended_convicts_nobody_beyond_its_end() -> None:
    """The members took the key back at five entries; what it signs of more is not the log's."""
    end = tree_of(5)
    last = Continuation(
        *(ORIGIN, 5, end.root().hex(), note(end, 5), 5, end.root().hex()), LOG.public, "stolen"
    )
    fresh = SigningKey.from_seed(b"\x06" * 32)
    changed = Charter(
        *(2, "example.org", f"{ORIGIN}~2", fresh.public, CHARTER.members), CHARTER.digest,
        continuations=(last,),
    )  # fmt: skip
    beyond = two_roots()
    verdict = verify_fraud(beyond, changed)
    assert (verdict.ok, verdict.status) == (False, "not proved")
    assert "after its end" in verdict.failures[0]
    # Up to its end it was the log's: that two histories are signed of it convicts.
    within = convict(note(tree_of(4), 4), note(tree_of(4, "x"), 4), LOG.public)
    assert verify_fraud(within, changed).ok
    # The end itself is the head that the charter names; another one of its size is the thief's.
    other = convict(note(end, 5), note(tree_of(5, "x"), 5), LOG.public)
    assert not verify_fraud(other, changed).ok


def test_a_charter_that_convinces_nobody_by_itself_does_not_keep_the_proof_back() -> None:
    """A later version, signed by those of the version before, may name many who joined."""
    joined = tuple(Member(f"n{at}", f"n{at}", SigningKey.generate().public) for at in range(7))
    later = Charter(
        2, "example.org", ORIGIN, LOG.public, (*CHARTER.members, *joined), CHARTER.digest
    )
    pinned = SignedCharter(later)
    for name, key in MEMBERS.items():
        pinned = pinned.sign(name, key)
    made = convict(note(tree_of(6), 6), note(tree_of(6, "x"), 6), LOG.public, charter=pinned)
    assert made is not None
    assert made["charter"] is None
    assert verify_fraud(made, later).ok
