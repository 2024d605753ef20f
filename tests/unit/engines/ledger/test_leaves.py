"""Signed leaves: what a signature covers, what a parser accepts, what a commitment hides."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.engines.ledger import leaves
from secureflow.engines.ledger.leaves import Leaf, commitment, leaf_from_json, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import leaf_hash
from secureflow.engines.ledger.notes import is_key_name
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

KEY = SigningKey.from_seed(b"\x03" * 32)
OTHER = SigningKey.from_seed(b"\x04" * 32)
LEAF = Leaf("update", "log", "bank-a", 1_700_000_000, "ab" * 32, "job_1", "cd" * 32, "ef" * 32)
SIGNED = sign_leaf(LEAF, KEY)


def test_a_leaf_comes_back() -> None:
    assert parse_leaf(SIGNED.data()) == SIGNED
    assert leaf_from_json(SIGNED.json()) == SIGNED
    assert SIGNED.hash() == leaf_hash(SIGNED.data()).hex()
    assert leaves.verify(SIGNED, KEY.public)


@given(
    origin=st.text(min_size=1, max_size=255).filter(is_key_name),
    at=st.integers(0, (1 << 53) - 1),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
def test_the_data_is_the_rfc_8785_form(origin: str, at: int, digest: str) -> None:
    signed = sign_leaf(replace(LEAF, origin=origin, at=at, spec=digest), KEY)
    assert signed.data() == canonical_bytes(signed.json())
    assert parse_leaf(signed.data()) == signed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "approval"),
        ("origin", "other"),
        ("author", "bank-b"),
        ("at", 1),
        ("commitment", "00" * 32),
        ("job", ""),
        ("spec", ""),
        ("prev", ""),
    ],
)
def test_the_signature_covers_every_field(name: str, value: Any) -> None:
    forged = replace(SIGNED, leaf=replace(LEAF, **{name: value}))
    assert not leaves.verify(forged, KEY.public)
    assert forged.hash() != SIGNED.hash()


def test_the_expected_key_decides_not_the_carried_one() -> None:
    assert not leaves.verify(SIGNED, OTHER.public)
    assert not leaves.verify(replace(SIGNED, key=OTHER.public), KEY.public)
    assert not leaves.verify(replace(SIGNED, signature=OTHER.sign("leaf", LEAF.json())), KEY.public)
    assert not leaves.verify(replace(SIGNED, signature=KEY.sign("vote", LEAF.json())), KEY.public)


def altered(path: str, value: Any) -> bytes:
    body = json.loads(SIGNED.data())
    target = body
    *parents, last = path.split(".")
    for parent in parents:
        target = target[parent]
    if value is KeyError:
        del target[last]
    else:
        target[last] = value
    return canonical_bytes(body)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 4000,
        b" " * 5000,
        SIGNED.data() + b" ",
        SIGNED.data().replace(b'"v":1', b'"v":1.0'),
        json.dumps(SIGNED.json()).encode(),
        altered("extra", 1),
        altered("key", KeyError),
        altered("leaf.extra", 1),
        altered("leaf.prev", KeyError),
        altered("leaf", []),
        altered("leaf.v", 2),
        altered("leaf.v", True),
        altered("leaf.at", -1),
        altered("leaf.at", 1.5),
        altered("leaf.at", True),
        altered("leaf.at", "1"),
        altered("leaf.kind", ""),
        altered("leaf.kind", "UPDATE"),
        altered("leaf.kind", "update\n"),
        altered("leaf.kind", None),
        altered("leaf.author", "Bank A"),
        altered("leaf.author", ["bank-a"]),
        altered("leaf.origin", "two words"),
        altered("leaf.origin", 7),
        altered("leaf.job", "x" * 65),
        altered("leaf.job", "a/b"),
        altered("leaf.spec", "cd" * 31),
        altered("leaf.prev", "EF" * 32),
        altered("leaf.commitment", ""),
        altered("key", "AAAA"),
        altered("key", 5),
        altered("signature", SIGNED.signature[:-2]),
        altered("signature", None),
    ],
)
def test_a_malformed_leaf_is_refused(data: bytes) -> None:
    with pytest.raises(SecureFlowError, match="malformed_leaf"):
        parse_leaf(data)


def test_nobody_signs_a_leaf_that_no_parser_accepts() -> None:
    with pytest.raises(SecureFlowError, match="malformed_leaf"):
        sign_leaf(replace(LEAF, author="Bank A"), KEY)


def test_a_commitment_binds_and_needs_its_whole_salt() -> None:
    salt = bytes(range(32))
    assert commitment(salt, {"b": 1, "a": 2}) == commitment(salt, {"a": 2, "b": 1})
    assert commitment(salt, {"a": 2}) != commitment(salt, {"a": 3})
    assert commitment(salt, {"a": 2}) != commitment(salt[::-1], {"a": 2})
    for wrong in (b"", salt[:16], salt + b"\x00"):
        with pytest.raises(SecureFlowError, match="malformed_leaf"):
            commitment(wrong, {"a": 2})
