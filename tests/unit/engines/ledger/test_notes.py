"""Notes against the C2SP formats, and what a parser must not let through."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from secureflow.engines.ledger.merkle import EMPTY_ROOT
from secureflow.engines.ledger.notes import (
    Checkpoint,
    attach,
    cosign,
    parse_note,
    sign_checkpoint,
)
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LOG = SigningKey.from_seed(bytes(32))
ALICE = SigningKey.from_seed(b"\x01" * 32)
BOB = SigningKey.from_seed(b"\x02" * 32)
HEAD = Checkpoint("log.example/secureflow", 7, hashlib.sha256(b"root").digest())
NOTE = sign_checkpoint(HEAD, LOG)


def test_the_log_note_is_byte_for_byte_the_c2sp_format() -> None:
    text, _, signatures = NOTE.partition("\n\n")
    root = base64.b64encode(HEAD.root).decode()
    assert text + "\n" == f"log.example/secureflow\n7\n{root}\n"
    dash, name, encoded = signatures.rstrip("\n").split(" ")
    blob, raw = base64.b64decode(encoded), base64.b64decode(LOG.public)
    assert (dash, name) == ("—", HEAD.origin)
    assert blob[:4] == hashlib.sha256(HEAD.origin.encode() + b"\n\x01" + raw).digest()[:4]
    Ed25519PublicKey.from_public_bytes(raw).verify(blob[4:], (text + "\n").encode())


def test_a_cosignature_covers_its_time_and_the_checkpoint() -> None:
    line = cosign(NOTE, "alice", ALICE, 1_700_000_000)
    dash, name, encoded = line.rstrip("\n").split(" ")
    blob, raw = base64.b64decode(encoded), base64.b64decode(ALICE.public)
    assert (dash, name) == ("—", "alice")
    assert blob[:4] == hashlib.sha256(b"alice\n\x04" + raw).digest()[:4]
    assert int.from_bytes(blob[4:12], "big") == 1_700_000_000
    message = b"cosignature/v1\ntime 1700000000\n" + HEAD.text.encode()
    Ed25519PublicKey.from_public_bytes(raw).verify(blob[12:], message)


def test_a_note_comes_back_with_its_signers() -> None:
    full = attach(NOTE, [cosign(NOTE, "alice", ALICE, 5), cosign(NOTE, "bob", BOB, 6)])
    note = parse_note(full)
    keys = {"alice": ALICE.public, "bob": BOB.public, "carol": LOG.public}
    assert note.checkpoint == HEAD
    assert note.verify_log(LOG.public)
    assert not note.verify_log(ALICE.public)
    assert note.cosigners(keys) == {"alice", "bob"}
    assert note.cosigners({"alice": BOB.public}) == frozenset()


def test_a_name_counts_once_however_often_it_signs() -> None:
    lines = [cosign(NOTE, "alice", ALICE, time) for time in range(1, 20)]
    assert parse_note(attach(NOTE, lines)).cosigners({"alice": ALICE.public}) == {"alice"}


def test_attach_keeps_each_line_once() -> None:
    line = cosign(NOTE, "alice", ALICE, 5)
    once = attach(NOTE, [line, line])
    assert once == NOTE + line == attach(once, [line])


def test_one_key_under_another_name_is_no_cosignature_of_that_name() -> None:
    line = cosign(NOTE, "alice", ALICE, 5)
    forged = NOTE + line.replace("alice", "bob")
    assert parse_note(forged).cosigners({"bob": ALICE.public}) == frozenset()


def test_the_logs_signature_is_no_cosignature_and_the_reverse() -> None:
    assert parse_note(NOTE).cosigners({HEAD.origin: LOG.public}) == frozenset()
    cosigned_only = HEAD.text + "\n" + cosign(NOTE, HEAD.origin, LOG, 5)
    assert not parse_note(cosigned_only).verify_log(LOG.public)


def test_a_signature_under_another_key_id_is_somebody_elses() -> None:
    blob = bytearray(base64.b64decode(SIGNATURE.split(" ")[2]))
    blob[0] ^= 1
    renamed = f"{HEAD.text}\n— {HEAD.origin} {base64.b64encode(blob).decode()}\n"
    assert not parse_note(renamed).verify_log(LOG.public)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_any_changed_line_breaks_every_signature(line: int) -> None:
    full = attach(NOTE, [cosign(NOTE, "alice", ALICE, 5)])
    other = Checkpoint("log.example/other", 8, hashlib.sha256(b"other").digest())
    lines = full.split("\n")
    lines[line] = other.text.split("\n")[line]
    note = parse_note("\n".join(lines))
    assert not note.verify_log(LOG.public)
    assert note.cosigners({"alice": ALICE.public}) == frozenset()


def test_a_changed_time_breaks_the_cosignature() -> None:
    line = cosign(NOTE, "alice", ALICE, 5)
    blob = bytearray(base64.b64decode(line.split(" ")[2]))
    blob[11] ^= 1
    forged = f"{NOTE}— alice {base64.b64encode(blob).decode()}\n"
    assert parse_note(forged).cosigners({"alice": ALICE.public}) == frozenset()


def test_unknown_signatures_are_ignored() -> None:
    post_quantum = f"— carol {base64.b64encode(bytes(2424)).decode()}\n"
    note = parse_note(attach(NOTE, [post_quantum]))
    assert note.verify_log(LOG.public)
    assert note.cosigners({"carol": ALICE.public}) == frozenset()


ROOT = base64.b64encode(HEAD.root).decode()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SPARE_BITS = ROOT[:-2] + ALPHABET[ALPHABET.index(ROOT[-2]) + 1] + "="  # the same bytes to many
SIGNATURE = NOTE.split("\n\n")[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n" * 1_000_000,
        "x" * (1 << 20),
        "Ā" * 40_000,
        HEAD.text,
        HEAD.text + "\n",
        NOTE[:-1],
        NOTE + "\n",
        f"log\n7\n{ROOT}\nextension\n\n{SIGNATURE}",
        f"log\n07\n{ROOT}\n\n{SIGNATURE}",
        f"log\n+7\n{ROOT}\n\n{SIGNATURE}",
        f"log\n٧\n{ROOT}\n\n{SIGNATURE}",
        f"log\n{1 << 64}\n{ROOT}\n\n{SIGNATURE}",
        f"log\n{1 << 62}\n{ROOT}\n\n{SIGNATURE}",
        f"log\n0\n{ROOT}\n\n{SIGNATURE}",
        f"log\n7\n{ROOT[:-4]}\n\n{SIGNATURE}",
        f"log\n7\n{SPARE_BITS}\n\n{SIGNATURE}",
        f"\n7\n{ROOT}\n\n{SIGNATURE}",
        f"a b\n7\n{ROOT}\n\n{SIGNATURE}",
        f"a+b\n7\n{ROOT}\n\n{SIGNATURE}",
        f"a\x00b\n7\n{ROOT}\n\n{SIGNATURE}",
        f"a\u2028b\n7\n{ROOT}\n\n{SIGNATURE}",
        f"\ud800\n7\n{ROOT}\n\n{SIGNATURE}",
        f"{'a' * 256}\n7\n{ROOT}\n\n{SIGNATURE}",
        f"log\r\n7\n{ROOT}\n\n{SIGNATURE}",
        f"{NOTE}- alice AAAAAAAA\n",
        f"{NOTE}— alice\n",
        f"{NOTE}— alice AAAA\n",
        f"{NOTE}— alice  AAAAAAAA\n",
        f"{NOTE}— alice AAAAAAAA x\n",
        f"{NOTE}—  AAAAAAAA\n",
        f"{NOTE}— al+ice AAAAAAAA\n",
        NOTE + "— alice AAAAAAAA\n" * 300,
    ],
)
def test_a_malformed_note_is_refused(text: str) -> None:
    with pytest.raises(SecureFlowError, match="malformed_note"):
        parse_note(text)


def test_three_hundred_signatures_are_still_a_note() -> None:
    assert len(parse_note(NOTE + "— alice AAAAAAAA\n" * 299).signatures) == 300


@pytest.mark.parametrize(
    "head",
    [
        Checkpoint("two words", 1, HEAD.root),
        Checkpoint("log", -1, HEAD.root),
        Checkpoint("log", 0, HEAD.root),
        Checkpoint("log", 1, b"short"),
        Checkpoint("log\n2", 1, HEAD.root),
    ],
)
def test_the_log_signs_no_note_that_nobody_could_parse(head: Checkpoint) -> None:
    with pytest.raises(SecureFlowError, match="malformed_note"):
        sign_checkpoint(head, LOG)


def test_an_empty_log_has_a_head_too() -> None:
    empty = Checkpoint("log", 0, EMPTY_ROOT)
    assert parse_note(sign_checkpoint(empty, LOG)).checkpoint == empty


def test_cosign_refuses_bad_names_and_times() -> None:
    for name, time in (
        ("two words", 5),
        ("a+b", 5),
        ("alice", 0),
        ("alice", -1),
        ("alice", 1 << 63),
    ):
        with pytest.raises(SecureFlowError, match="malformed_note"):
            cosign(NOTE, name, ALICE, time)
