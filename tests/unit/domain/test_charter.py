"""The charter: what it refuses, what people compare, and who may change it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.charter import Charter, Member, SignedCharter, accept_change, compare
from secureflow.domain.fingerprintwords import WORDS
from secureflow.kit.canonical import b64encode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LOG = SigningKey.from_seed(b"\xff" * 32)
KEYS = {f"bank-{c}": SigningKey.from_seed(c.encode() * 32) for c in "abcdef"}


def members(letters: str) -> tuple[Member, ...]:
    return tuple(
        Member(f"bank-{c}", f"Bank {c.upper()}", KEYS[f"bank-{c}"].public) for c in letters
    )


def charter(letters: str = "abc", **changes: Any) -> Charter:
    first = Charter(1, "consortium.example", "log.example", LOG.public, members(letters))
    return replace(first, **changes)


def successor(pinned: Charter, letters: str, signers: str, **changes: Any) -> SignedCharter:
    new = replace(
        pinned,
        version=pinned.version + 1,
        previous=pinned.digest,
        members=members(letters),
        **changes,
    )
    signed = SignedCharter(new)
    for c in signers:
        signed = signed.sign(f"bank-{c}", KEYS[f"bank-{c}"])
    return signed


def refusal(pinned: Charter, candidate: SignedCharter) -> str:
    with pytest.raises(SecureFlowError) as caught:
        accept_change(pinned, candidate)
    return caught.value.code


def test_a_charter_comes_back_from_its_file() -> None:
    signed = SignedCharter(charter()).sign("bank-a", KEYS["bank-a"])
    back = SignedCharter.parse(json.dumps(signed.json()))
    assert back == signed
    assert back.charter.digest == charter().digest
    assert back.signers(charter().keys) == {"bank-a"}


def test_the_order_of_members_has_no_meaning() -> None:
    assert charter("cab") == charter("abc")
    assert charter("cab").digest == charter("abc").digest


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": True},
        {"version": 2},  # without a previous
        {"previous": "ab" * 32},  # in version 1
        {"version": 2, "previous": "short"},
        {"version": 2, "previous": None},
        {"trust_domain": ""},
        {"trust_domain": "Upper.example"},
        {"origin": "two words"},
        {"origin": "a+b"},
        {"origin": ""},
        {"log_key": "AAAA"},
        {"log_key": None},
        {"log_key": KEYS["bank-a"].public},  # a member that is also the log
        {"members": ()},
        {"members": members("aab")},
        {"members": (*members("a"), Member("bank-b", "B", KEYS["bank-a"].public))},
        {"members": (Member("server", "Operator", KEYS["bank-a"].public),)},
        {"members": (Member("enclave", "Enclave", KEYS["bank-a"].public),)},
        {"members": (Member("Bank A", "A", KEYS["bank-a"].public),)},
        {"members": (Member("a" * 64, "A", KEYS["bank-a"].public),)},
        {"members": (Member("bank-a\n", "A", KEYS["bank-a"].public),)},
        {"members": (Member("bank-a", "", KEYS["bank-a"].public),)},
        {"members": (Member("bank-a", "A\u202eB", KEYS["bank-a"].public),)},
        {"members": (Member("bank-a", "x" * 201, KEYS["bank-a"].public),)},
        {"members": (Member("bank-a", "A", ""),)},
        {"members": (Member("bank-a", "A", KEYS["bank-a"].public + "\n"),)},
    ],
)
def test_a_malformed_charter_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError, match="malformed_charter"):
        charter(**changes)


def test_a_key_has_one_spelling() -> None:
    """Else one key could be spelled twice and count as two members."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    key = KEYS["bank-a"].public
    twin = key[:-2] + alphabet[alphabet.index(key[-2]) + 1] + "="
    with pytest.raises(SecureFlowError, match="malformed_charter"):
        charter(members=(*members("a"), Member("bank-b", "B", twin)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"charter": {}, "signatures": {}},
        {"charter": charter().json(), "signatures": []},
        {"charter": charter().json(), "signatures": {"bank-a": 1}},
        {"charter": charter().json(), "signatures": {"bank-a": "x" * 129}},
        {"charter": charter().json() | {"extra": 1}, "signatures": {}},
        {"charter": charter().json() | {"members": {}}, "signatures": {}},
        {"charter": charter().json() | {"members": [{}]}, "signatures": {}},
        {"charter": charter().json() | {"members": [{}] * 1001}, "signatures": {}},
    ],
)
def test_foreign_json_is_refused(value: Any) -> None:
    with pytest.raises(SecureFlowError, match="malformed_charter"):
        SignedCharter.from_json(value)


def test_the_word_list_is_fit_to_be_read_aloud() -> None:
    assert len(WORDS) == 256
    assert len({word[:4] for word in WORDS}) == 256
    assert all(word.isascii() and word.islower() and word.isalpha() for word in WORDS)


def test_words_and_digits_say_the_same_bits() -> None:
    words = charter().fingerprint_words("en").split()
    groups = charter().fingerprint_words("zh").split()
    assert len(words) == 12
    assert [len(group) for group in groups] == [5] * 6
    bits = bytes(WORDS.index(word) for word in words)
    assert int("".join(groups)) == int.from_bytes(bits, "big")


def test_any_change_changes_the_fingerprint() -> None:
    seen = {
        one.fingerprint_words()
        for one in (
            charter(),
            charter("abd"),
            charter(origin="log2.example"),
            charter(log_key=SigningKey.from_seed(b"\xfe" * 32).public),
            charter(trust_domain="other.example"),
        )
    }
    assert len(seen) == 5


def test_more_than_two_thirds_of_the_pinned_members_change_a_charter() -> None:
    pinned = charter("abc")
    assert accept_change(pinned, successor(pinned, "abcd", "abc")) == charter(
        "abcd", version=2, previous=pinned.digest
    )
    assert refusal(pinned, successor(pinned, "abcd", "ab")) == "charter_not_signed"
    four = charter("abcd")
    assert accept_change(four, successor(four, "abc", "abc")).version == 2
    assert refusal(four, successor(four, "abc", "ab")) == "charter_not_signed"
    six = charter("abcdef")
    assert refusal(six, successor(six, "abc", "abcd")) == "charter_not_signed"
    assert accept_change(six, successor(six, "abc", "abcde")).version == 2


def test_new_members_do_not_vote_themselves_in() -> None:
    pinned = charter("abc")
    assert refusal(pinned, successor(pinned, "adef", "adef")) == "charter_not_signed"


def test_a_signature_under_another_key_does_not_count() -> None:
    pinned = charter("abc")
    candidate = successor(pinned, "abcd", "ab")
    forged = candidate.sign("bank-c", KEYS["bank-a"])
    assert refusal(pinned, forged) == "charter_not_signed"
    moved = replace(candidate.charter, origin="log.evil")
    signed = successor(pinned, "abcd", "abc")
    assert refusal(pinned, SignedCharter(moved, signed.signatures)) == "charter_not_signed"


def test_a_signature_of_another_kind_does_not_count() -> None:
    pinned = charter("abc")
    candidate = successor(pinned, "abcd", "ab")
    vote = KEYS["bank-c"].sign("vote", candidate.charter.json())
    forged = SignedCharter(candidate.charter, {**candidate.signatures, "bank-c": vote})
    assert refusal(pinned, forged) == "charter_not_signed"


def test_a_version_follows_the_pinned_one_and_no_other() -> None:
    pinned = charter("abc")
    second = accept_change(pinned, successor(pinned, "abcd", "abc"))
    assert refusal(second, SignedCharter(pinned)) == "charter_mismatch"  # rolled back
    assert refusal(pinned, successor(second, "abcd", "abc")) == "charter_mismatch"  # one skipped
    branch = successor(replace(pinned, origin="log2.example"), "abcd", "abc")
    assert refusal(pinned, branch) == "charter_mismatch"  # follows a charter never pinned
    other = successor(pinned, "abc", "abc", trust_domain="other.example")
    assert refusal(pinned, other) == "charter_mismatch"


def test_the_pinned_charter_again_needs_no_signature() -> None:
    assert accept_change(charter(), SignedCharter(charter())) == charter()


def test_differences_are_named() -> None:
    pinned = charter("abc")
    new = charter("abd", origin="log2.example")
    assert compare(pinned, pinned) == []
    assert compare(pinned, new) == [
        "origin: log.example → log2.example",
        "member bank-c: removed",
        f"member bank-d: added, key {KEYS['bank-d'].public}",
    ]
    rekeyed = replace(members("c")[0], key=b64encode(b"\x09" * 32))
    changed = charter("ab", members=(*members("ab"), rekeyed))
    assert compare(pinned, changed) == [
        f"member bank-c: key {KEYS['bank-c'].public} → {rekeyed.key}"
    ]
