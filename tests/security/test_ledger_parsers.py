"""Foreign bytes against the ledger's parsers and verifiers: typed errors, no crash, no hang.

Valid inputs are mutated at random from a fixed seed; what still parses must mean the same bytes
again, so that nothing has two spellings.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.bundle_format import BundleEntry, bundle_json, parse_bundle
from secureflow.engines.ledger.leaves import Leaf, commitment, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import MemoryTree, verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, parse_note, sign_checkpoint
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

QUICK, SOAK = 10_000, 1_000_000
KEY = SigningKey.from_seed(b"\x0a" * 32)
ORIGIN, JOB = "log.example", "job_fuzz"
SPEC = {"roster": [{"party": "bank-a", "key": KEY.public}]}
LEAF = sign_leaf(Leaf("approval", ORIGIN, "bank-a", 5, commitment(bytes(32), {}), JOB), KEY)
TREE = MemoryTree()
TREE.append(LEAF.data(), *(bytes([i]) for i in range(12)))
_HEAD = sign_checkpoint(Checkpoint(ORIGIN, TREE.size, TREE.root()), KEY)
NOTE = attach(_HEAD, [cosign(_HEAD, "bank-a", KEY, 5)])
CHARTER = SignedCharter(
    Charter(1, "example", ORIGIN, SigningKey.from_seed(bytes(32)).public,
            (Member("bank-a", "Bank A", KEY.public),))
).sign("bank-a", KEY)  # fmt: skip
BUNDLE = bundle_json(
    note=NOTE,
    job=JOB,
    spec=SPEC,
    charter=CHARTER.charter.digest,
    entries=[BundleEntry(0, LEAF, tuple(TREE.inclusion_proof(0)), {}, bytes(32))],
)
TOKENS = [b"", b"\n", b"\n\n", b"0", b"-1", b"+", b" ", b"=", b"\x00", b"\xff", "—".encode(),
          "\u2028".encode(), b"{}", b"[" * 64, b'"', b"9" * 400, b"1e999", b"NaN", b"null",
          b'"v":1,', b"\\ud800", b"A" * 5000]  # fmt: skip


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Cut, repeat, overwrite or insert at a few random places."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        a, b = sorted(dice.randrange(len(data) + 1) for _ in range(2))
        b = min(b, a + dice.choice((0, 1, 1, 2, 8, 200)))
        filler = dice.choice((dice.choice(TOKENS), data[a:b] * 2, bytes([dice.randrange(256)])))
        data = data[:a] + filler + data[b:]
    return data


def read_note(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    note = parse_note(text)
    assert text.startswith(note.checkpoint.text + "\n")
    if note.verify_log(KEY.public):
        assert text.startswith(_HEAD.split("\n\n")[0])
    note.cosigners({"bank-a": KEY.public})


def read_leaf(data: bytes) -> None:
    assert parse_leaf(data).data() == data


def read_charter(data: bytes) -> None:
    signed = SignedCharter.parse(data)
    assert SignedCharter.from_json(json.loads(json.dumps(signed.json()))) == signed
    signed.signers(CHARTER.charter.keys)


def read_bundle(data: bytes) -> None:
    value = parse_json(data)
    verify_bundle(value, None)
    parse_bundle(value)


PARSERS: list[tuple[Callable[[bytes], None], bytes]] = [
    (read_note, NOTE.encode()),
    (read_leaf, LEAF.data()),
    (read_charter, canonical_bytes(CHARTER.json())),
    (read_bundle, canonical_bytes(BUNDLE)),
]
NAMES = ["note", "leaf", "charter", "bundle"]


def storm(read: Callable[[bytes], None], valid: bytes, cases: int) -> int:
    """Feed mutants; only `SecureFlowError` may come out. Returns how many were refused."""
    dice = random.Random(f"{read.__name__} {cases}")
    refused = 0
    read(valid)
    for _ in range(cases):
        try:
            read(mutated(valid, dice))
        except SecureFlowError:
            refused += 1
    return refused


@pytest.mark.parametrize(("read", "valid"), PARSERS, ids=NAMES)
def test_parsers_answer_mutants_with_typed_errors(
    read: Callable[[bytes], None], valid: bytes
) -> None:
    refused = storm(read, valid, QUICK)
    assert QUICK // 3 < refused < QUICK  # the storm reaches both sides of each parser


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("read", "valid"), PARSERS, ids=NAMES)
def test_parsers_weather_a_long_storm(read: Callable[[bytes], None], valid: bytes) -> None:
    storm(read, valid, SOAK)


def attack_proofs(cases: int) -> int:
    """Random claims under authentic heads: what holds must be true. Returns how many held."""
    dice = random.Random(f"proofs {cases}")
    pool = [TREE.read(level, index) for level, index in TREE._nodes] + [b"", bytes(31), bytes(32)]
    numbers = [-1, 0, 1, 2, 3, 7, 8, 12, 13, 14, 1 << 61, 1 << 62, 1 << 200]
    leaf, held = bytes.fromhex(LEAF.hash()), 0
    for _ in range(cases):
        size = dice.randrange(1, TREE.size + 1)
        root, other = TREE.root(size), dice.choice(numbers)
        prefix = dice.randrange(1, size + 1)
        old_root = dice.choice((TREE.root(prefix), dice.choice(pool)))
        genuine = dice.choice((TREE.inclusion_proof(0, size), TREE.consistency_proof(prefix, size)))
        proof = [dice.choice(pool) if dice.random() < 0.1 else node for node in genuine]
        proof = proof[: dice.randrange(len(proof) + 1)] if dice.random() < 0.2 else proof
        proof *= dice.choice((1, 1, 1, 20))
        for claim in (other, prefix, 0):
            if verify_inclusion(leaf, claim, size, proof, root):
                assert claim == 0
                held += 1
            if verify_consistency(claim, size, old_root, root, proof):
                assert old_root == TREE.root(claim)
                held += 1
        verify_inclusion(leaf, prefix, other, proof, root)
        verify_consistency(other, prefix, old_root, root, proof)
    return held


def test_proofs_hold_only_for_the_truth() -> None:
    assert attack_proofs(QUICK) > QUICK // 20  # else the attack never came near the truth


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_proofs_hold_only_for_the_truth_in_a_long_attack() -> None:
    attack_proofs(SOAK)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=JSON, text=st.text(), data=st.binary())
def test_arbitrary_values_get_typed_errors(value: Any, text: str, data: bytes) -> None:
    assert not verify_bundle(value, CHARTER.charter).ok
    for read, foreign in (
        (SignedCharter.from_json, value),
        (SignedCharter.parse, data),
        (parse_note, text),
        (parse_leaf, data),
    ):
        with pytest.raises(SecureFlowError):
            read(foreign)  # type: ignore[operator]


def test_an_oversized_input_is_refused_before_it_is_parsed() -> None:
    deep = b"[" * 2_000_000
    for read in (parse_leaf, SignedCharter.parse):
        with pytest.raises(SecureFlowError, match="bytes, more than"):
            read(deep)
    with pytest.raises(SecureFlowError, match="more than 65536 bytes"):
        parse_note("\n" * 2_000_000)


def test_a_leaf_is_never_longer_than_its_parser_allows() -> None:
    longest = replace(
        LEAF.leaf, kind="k" * 64, origin="o" * 255, author="a" * 63, at=(1 << 53) - 1,
        job="j" * 64, spec="ab" * 32, prev="ab" * 32,
    )  # fmt: skip
    signed = sign_leaf(longest, KEY)
    assert parse_leaf(signed.data()) == signed
