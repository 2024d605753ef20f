from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.kit import crypto
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

KEYS = {f"bank-{c}": SigningKey.generate() for c in "abcd"}
LOG = SigningKey.generate()


def charter(*names: str, version: int = 1, previous: str = "") -> Charter:
    members = tuple(Member(n, n.title(), KEYS[n].public) for n in names or ("bank-a", "bank-b"))
    return Charter(version, "example.org", "log.example", LOG.public, members, previous)


def signed(one: Charter, *names: str) -> SignedCharter:
    """Return the charter with the signatures of these members; by default, of all."""
    made = SignedCharter(one)
    for name in names or sorted(one.keys):
        made = made.sign(name, KEYS[name])
    return made


@pytest.fixture
def pinning(tmp_path: Path) -> PinnedCharter:
    return PinnedCharter(RecordStore(tmp_path / "agent.db"), "bank-a", KEYS["bank-a"], lambda: 1000)


def code(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


def test_the_first_charter_needs_what_was_compared(pinning: PinnedCharter) -> None:
    first = signed(charter())
    with pytest.raises(SecureFlowError) as error:
        pinning.pinned()
    assert code(error) == "charter_not_pinned"
    other = charter("bank-a", "bank-c")
    for typed in ("", other.fingerprint_words(), other.digest, "acorn " * 12):
        with pytest.raises(SecureFlowError) as error:
            pinning.pin(first, typed)
        assert code(error) == "charter_not_confirmed"


@pytest.mark.parametrize("form", ["en", "zh", "digest"])
def test_words_digits_or_digest_confirm(tmp_path: Path, form: str) -> None:
    pinning = PinnedCharter(RecordStore(tmp_path / "a.db"), "bank-a", KEYS["bank-a"], lambda: 1000)
    first = charter()
    typed = first.digest if form == "digest" else first.fingerprint_words(form)  # type: ignore[arg-type]
    pinning.pin(signed(first), f"  {typed.upper()}\n")
    assert pinning.pinned() == first


def test_a_charter_with_another_own_key_is_never_pinned_or_signed(pinning: PinnedCharter) -> None:
    stolen = replace(
        charter(),
        members=(Member("bank-a", "A", SigningKey.generate().public), *charter().members[1:]),
    )
    absent = charter("bank-b", "bank-c")
    for wrong in (stolen, absent):
        with pytest.raises(SecureFlowError) as error:
            pinning.pin(SignedCharter(wrong), wrong.digest)
        assert code(error) == "charter_mismatch"
        with pytest.raises(SecureFlowError) as error:
            pinning.sign(SignedCharter(wrong), wrong.digest)
        assert code(error) == "charter_mismatch"


@pytest.mark.parametrize("names", [("bank-a",), ("bank-a", "bank-b")])
def test_the_first_charter_needs_every_members_signature(
    pinning: PinnedCharter, names: tuple[str, ...]
) -> None:
    first = charter("bank-a", "bank-b", "bank-c")
    few = signed(first, *names)
    foreign = few.sign("bank-c", KEYS["bank-d"])  # a signature of somebody else is none
    for candidate in (few, foreign, SignedCharter(first)):
        with pytest.raises(SecureFlowError) as error:
            pinning.pin(candidate, first.digest)
        assert code(error) == "charter_not_signed"
    assert "bank-c" in error.value.details["missing"]
    assert "secureflow agent charter sign" in error.value.hint
    with pytest.raises(SecureFlowError):
        pinning.pinned()
    with pytest.raises(SecureFlowError) as error:
        pinning.pin(signed(first), "words that nobody compared")  # nor do signatures alone suffice
    assert code(error) == "charter_not_confirmed"
    pinning.pin(signed(first), first.digest)
    assert pinning.pinned() == first


def test_most_signatures_do_not_stand_for_all_of_a_first_charter(pinning: PinnedCharter) -> None:
    first = charter("bank-a", "bank-b", "bank-c", "bank-d")
    with pytest.raises(SecureFlowError) as error:
        pinning.pin(signed(first, "bank-a", "bank-b", "bank-c"), first.digest)
    assert code(error) == "charter_not_signed"
    assert error.value.details["missing"] == ["bank-d"]


def test_a_newcomer_pins_a_later_version_with_most_members_signatures(
    pinning: PinnedCharter,
) -> None:
    names = ("bank-a", "bank-b", "bank-c", "bank-d")
    second = charter(*names, version=2, previous="1" * 64)
    with pytest.raises(SecureFlowError) as error:
        pinning.pin(signed(second, "bank-b", "bank-c"), second.digest)
    assert code(error) == "charter_not_signed"
    pinning.pin(signed(second, "bank-b", "bank-c", "bank-d"), second.digest)
    assert pinning.pinned() == second


def test_a_change_needs_more_than_two_thirds_of_the_pinned_members(pinning: PinnedCharter) -> None:
    first = charter("bank-a", "bank-b", "bank-c")
    pinning.pin(signed(first), first.digest)
    second = SignedCharter(
        charter("bank-a", "bank-b", "bank-c", "bank-d", version=2, previous=first.digest)
    )
    for name in ("bank-a", "bank-b", "bank-d"):  # the newcomer does not count
        second = second.sign(name, KEYS[name])
    with pytest.raises(SecureFlowError) as error:
        pinning.pin(second, second.charter.digest)  # typing the digest does not help here
    assert code(error) == "charter_not_signed"
    assert pinning.pinned() == first
    pinning.pin(second.sign("bank-c", KEYS["bank-c"]))
    assert pinning.pinned() == second.charter


def test_a_version_that_does_not_follow_is_refused(pinning: PinnedCharter) -> None:
    first = charter()
    pinning.pin(signed(first), first.digest)
    stray = SignedCharter(charter("bank-a", "bank-c", version=2, previous="0" * 64))
    for name in ("bank-a", "bank-b"):
        stray = stray.sign(name, KEYS[name])
    for act in (pinning.pin, pinning.sign):
        with pytest.raises(SecureFlowError) as error:
            act(stray, stray.charter.digest)
        assert code(error) == "charter_mismatch"


def test_signing_and_what_is_shown(pinning: PinnedCharter) -> None:
    first = charter()
    for typed in ("", " ", "other words", first.digest[:63], first.fingerprint_words()[:-4]):
        with pytest.raises(SecureFlowError) as error:
            pinning.sign(SignedCharter(first), typed)
        assert code(error) == "charter_not_confirmed"
    own = pinning.sign(SignedCharter(first), first.fingerprint_words())
    assert crypto.verify(KEYS["bank-a"].public, "charter", first.json(), own["signature"])
    assert own["digest"] == first.digest
    pinning.pin(signed(first), first.digest)
    second = SignedCharter(charter("bank-a", "bank-c", version=2, previous=first.digest))
    shown = pinning.describe(second)
    assert SignedCharter.from_json(shown["pinned"]).charter == first
    assert shown["fingerprints"]["candidate"]["words"] == second.charter.fingerprint_words()
    assert any("bank-c: added" in line for line in shown["differences"])
    assert pinning.describe(None)["candidate"] is None


def test_the_pinned_charter_survives(tmp_path: Path) -> None:
    first = charter()
    for attempt in range(2):
        pinning = PinnedCharter(
            RecordStore(tmp_path / "a.db"), "bank-a", KEYS["bank-a"], lambda: 1000
        )
        if attempt == 0:
            pinning.pin(signed(first), first.digest)
        assert pinning.pinned() == first
