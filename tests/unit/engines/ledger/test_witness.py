"""The witness: which heads an agent accepts, and what convicts a log."""

from __future__ import annotations

import pytest

from secureflow.domain.quorum import colluders_of, quorum_of
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.ledger.witness import WitnessView, fraud_proof, observe
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LOG = SigningKey.from_seed(b"\x05" * 32)
ORIGIN = "log.example"


class Log:
    """A log that can also lie."""

    def __init__(self, *leaves: str, origin: str = ORIGIN, key: SigningKey = LOG) -> None:
        self.tree, self.origin, self.key = MemoryTree(), origin, key
        self.tree.append(*(leaf.encode() for leaf in leaves))

    def note(self, size: int | None = None) -> str:
        size = self.tree.size if size is None else size
        return sign_checkpoint(Checkpoint(self.origin, size, self.tree.root(size)), self.key)


START = WitnessView(ORIGIN, LOG.public)


def refusal(view: WitnessView, note: str, proof: list[bytes]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        observe(view, note, proof)
    return caught.value


def test_a_witness_follows_an_honest_log() -> None:
    log = Log(*"abcdefghijk")
    view = START
    for size in (0, 1, 1, 4, 11):
        view = observe(view, log.note(size), log.tree.consistency_proof(view.size, size))
        assert (view.size, view.root) == (size, log.tree.root(size))
        assert view.note == (log.note(size) if size else "")


def test_an_older_head_with_a_proof_changes_nothing() -> None:
    log = Log(*"abcdefg")
    view = observe(START, log.note(), [])
    assert observe(view, log.note(3), log.tree.consistency_proof(3, 7)) == view


def test_another_log_is_refused() -> None:
    assert refusal(START, Log("a", origin="log.evil").note(), []).code == "ledger_wrong_log"


def test_another_key_is_refused() -> None:
    evil = Log("a", key=SigningKey.from_seed(b"\x06" * 32))
    assert refusal(START, evil.note(), []).code == "ledger_bad_signature"


def test_a_rollback_is_refused_with_both_notes() -> None:
    log = Log(*"abcdefg")
    view = observe(START, log.note(), [])
    for size in (0, 3):
        error = refusal(view, log.note(size), [])
        assert error.code == "ledger_rollback"
        assert error.details == {"known": log.note(), "shown": log.note(size)}


@pytest.mark.parametrize("size", [3, 5, 9])
def test_changed_history_is_refused_with_both_notes(size: int) -> None:
    honest, forged = Log(*"abcde"), Log(*"abXdefghi")
    view = observe(START, honest.note(), [])
    low, high = sorted((size, 5))
    error = refusal(view, forged.note(size), forged.tree.consistency_proof(low, high))
    assert error.code == "ledger_inconsistent"
    assert error.details["known"] == honest.note()
    assert error.details["shown"] == forged.note(size)


def test_growth_without_a_proof_is_refused() -> None:
    log = Log(*"abcde")
    view = observe(START, log.note(3), [])
    assert refusal(view, log.note(5), []).code == "ledger_inconsistent"


def test_two_heads_of_one_size_convict_the_log() -> None:
    honest, forged = Log(*"abc"), Log(*"abX")
    view = observe(START, honest.note(), [])
    details = refusal(view, forged.note(), []).details
    assert fraud_proof(details["known"], details["shown"], LOG.public)


def test_what_convicts_nobody() -> None:
    honest, forged = Log(*"abc"), Log(*"abX")
    other_key = SigningKey.from_seed(b"\x06" * 32)
    framed = Log(*"abX", key=other_key).note()
    assert not fraud_proof(honest.note(), honest.note(), LOG.public)
    assert not fraud_proof(honest.note(), honest.note(2), LOG.public)
    assert not fraud_proof(honest.note(), framed, LOG.public)
    assert not fraud_proof(honest.note(), forged.note(), other_key.public)
    assert not fraud_proof(honest.note(), Log(*"abX", origin="x").note(), LOG.public)
    assert not fraud_proof(honest.note(), "junk", LOG.public)
    assert not fraud_proof(honest.note(), forged.note(), "no key")


def test_two_quorums_always_share_an_honest_member() -> None:
    for n in range(3, 300):
        quorum, colluders = quorum_of(n), colluders_of(n)
        assert quorum <= n
        assert 2 * quorum - n > colluders
    assert [quorum_of(n) for n in (3, 4, 6, 64)] == [3, 3, 5, 43]
    assert [colluders_of(n) for n in (3, 4, 6, 64)] == [1, 1, 1, 21]
