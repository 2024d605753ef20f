"""A charter under which the log gets another key: what its members have to sign, and what not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.charter import Charter, Member, SignedCharter, accept_change, compare
from secureflow.domain.continuation import Continuation
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

ORIGIN, NAME = "log.example", "log.example~2"
OLD, NEW, THIRD = (SigningKey.from_seed(bytes([n]) * 32) for n in (7, 8, 9))
BANKS = {name: SigningKey.from_seed(name.encode() * 4 + bytes(8)) for name in
         ("bank-a", "bank-b", "bank-c")}  # fmt: skip
MEMBERS = tuple(Member(name, name.title(), key.public) for name, key in BANKS.items())
FIRST = Charter(1, "example.org", ORIGIN, OLD.public, MEMBERS)
ROOT = "ab" * 32
END = Continuation(ORIGIN, 5, ROOT, "note", 5, ROOT, OLD.public, "suspected theft")
SECOND = Charter(2, "example.org", NAME, NEW.public, MEMBERS, FIRST.digest, (END,))


def signed(charter: Charter, *names: str) -> SignedCharter:
    made = SignedCharter(charter)
    for name in names or BANKS:
        made = made.sign(name, BANKS[name])
    return made


def test_each_name_of_the_log_has_its_key() -> None:
    rollback = Continuation(NAME, 9, ROOT, "note", 7, "cd" * 32)
    again = Continuation(f"{ORIGIN}~3", 12, ROOT, "note", 12, ROOT, NEW.public, "yearly")
    later = replace(SECOND, version=4, origin=f"{ORIGIN}~4", log_key=THIRD.public,
                    continuations=(END, rollback, again))  # fmt: skip
    assert later.log_keys == {
        ORIGIN: OLD.public, NAME: NEW.public, f"{ORIGIN}~3": NEW.public,
        f"{ORIGIN}~4": THIRD.public,
    }  # fmt: skip
    assert FIRST.log_keys == {ORIGIN: OLD.public}


def test_more_than_two_thirds_change_the_key_and_fewer_do_not() -> None:
    assert accept_change(FIRST, signed(SECOND)) == SECOND
    for few in (("bank-a",), ("bank-a", "bank-b")):
        with pytest.raises(SecureFlowError) as refused:
            accept_change(FIRST, signed(SECOND, *few))
        assert refused.value.code == "charter_not_signed"


@pytest.mark.parametrize(
    "lie",
    [
        {"log_key": THIRD.public, "continuations": (), "origin": ORIGIN},  # no end is named
        {"continuations": (replace(END, log_key=THIRD.public),)},  # another key's end
        {"log_key": THIRD.public, "continuations": (replace(END, log_key="", reason=""),)},
        {"members": MEMBERS[:2]},  # it drops a member as well
    ],
    ids=["no end", "another key's end", "a rollback that brings a key", "a member is dropped"],
)
def test_a_change_that_does_more_or_less_is_refused_however_many_sign(lie: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as refused:
        accept_change(FIRST, signed(replace(SECOND, **lie)))
    assert refused.value.code == "charter_mismatch"


@pytest.mark.parametrize(
    "lie",
    [
        {"log_key": OLD.public},  # the key that ends goes on
        {"log_key": BANKS["bank-a"].public},  # a member's
        {"continuations": (replace(END, start=4, start_root="cd" * 32),)},  # it loses an entry
        {"continuations": (replace(END, reason=""),)},
        {"continuations": (replace(END, reason="two\nlines"),)},
        {"continuations": (replace(END, reason="x" * 201),)},
        {"continuations": (replace(END, log_key="x"),)},
        {"continuations": (replace(END, log_key=""),)},  # a reason alone
        {"continuations": (replace(END, log_key=BANKS["bank-a"].public),)},
    ],
)
def test_a_malformed_change_is_none(lie: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as refused:
        replace(SECOND, **lie)
    assert refused.value.code == "malformed_charter"


def test_a_key_that_ended_never_comes_back() -> None:
    again = Continuation(NAME, 9, ROOT, "note", 9, ROOT, NEW.public, "back to the old one")
    with pytest.raises(SecureFlowError, match="comes back"):
        replace(SECOND, version=3, origin=f"{ORIGIN}~3", log_key=OLD.public,
                previous=SECOND.digest, continuations=(END, again))  # fmt: skip


def test_it_is_read_as_it_was_written_and_older_charters_have_their_digests() -> None:
    assert Charter.from_json(json.loads(json.dumps(SECOND.json()))) == SECOND
    plain = Continuation(ORIGIN, 5, ROOT, "note", 5, ROOT)
    assert set(plain.json()) == {"origin", "size", "root", "note", "start", "start_root"}
    for odd in ({"log_key": ""}, {"log_key": "", "reason": ""}, {"reason": "x"}):
        with pytest.raises(SecureFlowError):
            Continuation.from_json({**plain.json(), **odd})


def test_people_read_which_key_ends_where_and_why() -> None:
    lines = "\n".join(map(str, compare(FIRST, SECOND)))
    assert f"log_key: {OLD.public} → {NEW.public}" in lines
    assert f"its key {OLD.public} ends with the head of 5 entries: suspected theft" in lines
