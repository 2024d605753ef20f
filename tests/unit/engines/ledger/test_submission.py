"""C2SP tlog-witness: requests, and which heads a witness cosigns."""

from __future__ import annotations

import base64
import hashlib

import pytest

from secureflow.engines.ledger.merkle import EMPTY_ROOT, MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, parse_note, sign_checkpoint
from secureflow.engines.ledger.submission import (
    MAX_PROOF,
    MAX_SUBMISSION,
    Submission,
    answered_size,
    cosigned_lines,
    judge,
    parse_submission,
)
from secureflow.engines.ledger.witness import WitnessView, fraud_proof
from secureflow.kit.canonical import b64encode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LOG = SigningKey.from_seed(b"\x05" * 32)
WITNESS = SigningKey.from_seed(b"\x06" * 32)
ORIGIN = "log.example/one"
START = WitnessView(ORIGIN, LOG.public)


def tree_of(size: int, salt: str = "") -> MemoryTree:
    tree = MemoryTree()
    tree.append(*(f"{salt}{number}".encode() for number in range(size)))
    return tree


def note(tree: MemoryTree, size: int, key: SigningKey = LOG, origin: str = ORIGIN) -> str:
    return sign_checkpoint(Checkpoint(origin, size, tree.root(size)), key)


def step(tree: MemoryTree, old: int, new: int) -> Submission:
    proof = tree.consistency_proof(old, new) if old else []
    return Submission(old, tuple(proof), note(tree, new))


def refused(view: WitnessView, submission: Submission) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        judge(view, submission)
    return caught.value


def test_every_step_of_a_log_is_cosigned_and_no_other_proof_does() -> None:
    tree = tree_of(20)
    for old in range(21):
        view = judge(START, step(tree, 0, old))
        for new in range(old, 21):
            asked = step(tree, old, new)
            assert parse_submission(asked.body) == asked
            after = judge(view, asked)
            assert (after.size, after.root) == (new, tree.root(new))
            for wrong in ([b"\x01" * 32], [*asked.proof, b"\x01" * 32], asked.proof[1:]):
                if tuple(wrong) != asked.proof:
                    bad = Submission(old, tuple(wrong), asked.note)
                    assert refused(view, bad).code == "witness_no_proof"


def test_a_vector_whose_hashes_are_reckoned_here_by_hand() -> None:
    """Two leaves, then three: PROOF(2, D[3]) is the hash of the third leaf (RFC 6962, 2.1.2)."""

    def sha(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    one, two, three = (sha(b"\0" + leaf) for leaf in (b"a", b"b", b"c"))
    old_root = sha(b"\1" + one + two)
    new_root = sha(b"\1" + old_root + three)
    view = judge(START, Submission(0, (), sign_checkpoint(Checkpoint(ORIGIN, 2, old_root), LOG)))
    signed = sign_checkpoint(Checkpoint(ORIGIN, 3, new_root), LOG)
    body = f"old 2\n{base64.b64encode(three).decode()}\n\n{signed}".encode()
    after = judge(view, parse_submission(body))
    assert (after.size, after.root) == (3, new_root)
    # The log's signature covers the three lines; its key id is SHA-256(name, LF, 1, key)[:4].
    text = f"{ORIGIN}\n3\n{base64.b64encode(new_root).decode()}\n"
    raw = base64.b64decode(LOG.public)
    identity = sha(ORIGIN.encode() + b"\n\x01" + raw)[:4]
    line = f"— {ORIGIN} {base64.b64encode(identity + LOG.private.sign(text.encode())).decode()}\n"
    assert signed == f"{text}\n{line}"


def test_the_example_of_the_specification_is_read() -> None:
    body = (
        "old 20852014\n"
        "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
        "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
        "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
        "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
        "\n"
        "example.com/behind-the-sofa\n"
        "20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        "\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zh"
        "cyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    read = parse_submission(body.encode())
    assert (read.old_size, len(read.proof)) == (20852014, 4)
    assert parse_note(read.note).checkpoint.size == 20852163
    assert read.body == body.encode()


def test_an_empty_log_is_cosigned_and_its_successor_needs_no_proof() -> None:
    tree = tree_of(3)
    view = judge(START, step(tree, 0, 0))
    assert (view.size, view.root) == (0, EMPTY_ROOT)
    assert judge(view, step(tree, 0, 3)).size == 3
    proof = Submission(0, (b"\0" * 32,), note(tree, 3))
    assert refused(view, proof).code == "witness_no_proof"


def test_another_old_size_is_told_the_right_one() -> None:
    tree = tree_of(9)
    view = judge(START, step(tree, 0, 5))
    for old, new in ((0, 9), (4, 9), (0, 5), (3, 4), (0, 2)):
        error = refused(view, step(tree, old, new))
        assert (error.code, error.details["size"]) == ("witness_behind", 5)
    for old in (5, 9):
        error = refused(START, step(tree, old, 9))
        assert (error.code, error.details["size"]) == ("witness_behind", 0)


def test_two_roots_of_one_size_accuse_the_log_and_a_bad_proof_accuses_nobody() -> None:
    view = judge(START, step(tree_of(5), 0, 5))
    error = refused(view, Submission(5, (), note(tree_of(5, "x"), 5)))
    assert error.code == "ledger_inconsistent"
    assert fraud_proof(error.details["known"], error.details["shown"], LOG.public)
    longer = Submission(5, (b"\1" * 32,), note(tree_of(8, "x"), 8))
    assert refused(view, longer).code == "witness_no_proof"


def test_only_the_logs_own_key_counts() -> None:
    tree = tree_of(3)
    forged = note(tree, 3, SigningKey.generate())
    for text in (forged, note(tree, 3, LOG, "other.example")):
        assert refused(START, Submission(0, (), text)).code == "ledger_bad_signature"
    both = attach(note(tree, 3), [forged.split("\n\n")[1], cosign(forged, "w", WITNESS, 7)])
    kept = judge(START, Submission(0, (), both)).note
    assert parse_note(kept).verify_log(LOG.public)
    assert "— w " not in kept


GOOD = step(tree_of(9), 5, 9).body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 5\n",
        b"\xff" + GOOD,
        GOOD.replace(b"old 5", b"old 05"),
        GOOD.replace(b"old 5", b"old -5"),
        GOOD.replace(b"old 5", b"old 5 "),
        GOOD.replace(b"old 5", b"Old 5"),
        GOOD.replace(b"old 5", b"old 10"),
        GOOD.replace(b"old 5", b"old 9223372036854775807"),
        GOOD.replace(b"\n\n", b"\n", 1),
        GOOD.replace(b"old 5\n", b"old 5\r\n"),
        GOOD.replace(b"old 5\n", b"old 5\nAAAA\n"),
        GOOD.replace(b"old 5\n", b"old 5\n" + b"A" * 44 + b"\n"),
        GOOD.replace(b"old 5\n", b"old 5\n" + (b64encode(b"\1" * 32) + "\n").encode() * 61),
        b"old 5\n" + b"\n" * 50 + GOOD,
        GOOD[:-1],
        GOOD + b"x",
        GOOD.ljust(MAX_SUBMISSION + 1, b"\n"),
    ],
    ids=range(18),
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse_submission(body)
    assert caught.value.code in {"malformed_submission", "malformed_note"}


def test_sixty_three_lines_are_read() -> None:
    asked = Submission(5, (b"\1" * 32,) * MAX_PROOF, note(tree_of(9), 9))
    assert parse_submission(asked.body) == asked
    longer = Submission(5, (b"\1" * 32,) * (MAX_PROOF + 1), note(tree_of(9), 9))
    with pytest.raises(SecureFlowError, match="malformed_submission"):
        parse_submission(longer.body)


def test_of_an_answer_only_known_keys_count() -> None:
    asked = step(tree_of(3), 0, 3)
    line = cosign(asked.note, "w1", WITNESS, 7)
    stranger = cosign(asked.note, "w1", SigningKey.generate(), 7)
    other = cosign(note(tree_of(4), 4), "w1", WITNESS, 7)
    keys = {"w1": [WITNESS.public]}
    assert cosigned_lines((stranger + other + line).encode(), asked, keys) == [line]
    assert cosigned_lines(stranger.encode(), asked, keys) == []
    for bad in (b"", b"hello\n", line.encode()[:-1], line.encode() * 500, b"\xff\n"):
        with pytest.raises(SecureFlowError, match="malformed_note"):
            cosigned_lines(bad, asked, keys)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b"0\n", 0),
        (b"17\n", 17),
        *((bad, None) for bad in (b"17", b"017\n", b"-1\n", b"9" * 19 + b"\n", b"")),
    ],
)
def test_a_size_in_a_refusal(body: bytes, size: int | None) -> None:
    assert answered_size(body) == size
