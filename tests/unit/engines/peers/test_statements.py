"""Statements about channels: what is signed, and that nothing else passes for it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from peers.channels import KEYS, PUBLIC, scope

from secureflow.engines.peers.statements import check_statement, contradict, make_statement
from secureflow.kit.canonical import b64encode, sha256
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

DER = b"a certificate"


def _signed(**changed: Any) -> dict[str, Any]:
    return make_statement(scope(**changed), "bank-a", "bank-b", DER, KEYS["bank-a"])


def _wrong(value: Any, **changed: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        check_statement(value, scope(**changed), "bank-a", "bank-b")
    assert caught.value.code == "peer_statement_wrong"
    assert "bank-a" in caught.value.message
    assert "bank-b" in caught.value.message
    return str(caught.value.details["wrong"])


def test_a_statement_pins_its_certificate() -> None:
    statement = _signed()
    assert check_statement(statement, scope(), "bank-a", "bank-b") == DER
    assert statement["body"] == {
        "job": "job_1", "spec": "5" * 64, "attempt": 1, "from": "bank-a", "to": "bank-b",
        "program": "9" * 64, "certificate": sha256(DER).hex(), "roster": scope().roster,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("job", {"job": "job_2"}),
        ("spec", {"spec": "6" * 64}),
        ("attempt", {"attempt": 2}),
        ("program", {"program": "8" * 64}),
        ("roster", {"keys": {bank: PUBLIC[bank] for bank in ("bank-a", "bank-b")}}),
    ],
)
def test_a_statement_for_something_else_is_refused(part: str, changed: dict[str, Any]) -> None:
    assert _wrong(_signed(**changed)) == part


def test_a_statement_of_or_for_another_party_is_refused() -> None:
    to_c = make_statement(scope(), "bank-a", "bank-c", DER, KEYS["bank-a"])
    assert _wrong(to_c) == "to"
    of_c = make_statement(scope(), "bank-c", "bank-b", DER, KEYS["bank-a"])
    assert _wrong(of_c) == "from"


def test_only_the_key_in_the_roster_can_sign() -> None:
    other = make_statement(scope(), "bank-a", "bank-b", DER, SigningKey.generate())
    assert _wrong(other) == "signature"
    assert _wrong(_signed(), keys={"bank-b": PUBLIC["bank-b"]}) == "signature"


def test_another_kind_of_signature_is_refused() -> None:
    statement = _signed()
    statement["signature"] = KEYS["bank-a"].sign("approval", statement["body"])
    assert _wrong(statement) == "signature"


def test_a_changed_body_is_refused() -> None:
    for name in _signed()["body"]:
        statement = copy.deepcopy(_signed())
        statement["body"][name] = 7 if name == "attempt" else "0" * 64
        assert _wrong(statement) == "signature"


def test_a_swapped_certificate_is_refused() -> None:
    statement = _signed()
    statement["certificate"] = b64encode(b"another certificate of the same party")
    assert _wrong(statement) == "certificate"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {"body": {}, "signature": "", "certificate": ""},
        {**_signed(), "more": 1},
        {**_signed(), "signature": 3},
        {**_signed(), "signature": "x" * 200},
        {**_signed(), "certificate": "A" * 100_000},
        {**_signed(), "certificate": "not base64"},
        {**_signed(), "body": {**_signed()["body"], "attempt": True}},
        {**_signed(), "body": {**_signed()["body"], "attempt": "1"}},
        {**_signed(), "body": {**_signed()["body"], "job": "x" * 1000}},
        {**_signed(), "body": {**_signed()["body"], "job": {"deep": 1}}},
        {**_signed(), "body": {**_signed()["body"], "more": 1}},
    ],
)
def test_a_malformed_statement_is_refused(value: Any) -> None:
    assert _wrong(value) == "shape"


def test_an_attempt_is_a_whole_number() -> None:
    body = scope().body("bank-a", "bank-b", DER) | {"attempt": True}
    signed = {"body": body, "signature": KEYS["bank-a"].sign("peer_channel", body)}
    assert _wrong({**signed, "certificate": b64encode(DER)}) == "shape"


def test_two_statements_of_one_channel_contradict() -> None:
    first = _signed()
    second = make_statement(scope(), "bank-a", "bank-b", b"second", KEYS["bank-a"])
    key = PUBLIC["bank-a"]
    assert contradict(first, second, key)
    assert not contradict(first, first, key)
    assert not contradict(first, _signed(attempt=2), key)
    assert not contradict(first, second, PUBLIC["bank-b"])
    forged = make_statement(scope(), "bank-a", "bank-b", b"second", KEYS["bank-b"])
    assert not contradict(first, forged, key)
    assert not contradict(first, {"body": 1}, key)
