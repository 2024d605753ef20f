"""Checkpoints as signed notes (C2SP tlog-checkpoint, signed-note) and cosignatures.

A note is the checkpoint's text (origin, size, base64 root, one line each), an empty line, and
signature lines `— name base64(key id ‖ signature)`. The key id is the first four bytes of
SHA-256(name ‖ 0x0A ‖ type ‖ public key). Type 1 is the log's own Ed25519 signature over the
text; type 4 is a witness's `cosignature/v1`, which also covers the time of observation.
Unknown keys and types are ignored, as the format demands; anything else is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature

from secureflow.engines.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.crypto import SigningKey, public_key
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_NOTE_BYTES = 64 << 10
MAX_SIGNATURES = 300
MAX_NAME = 255

_LOG_KEY = 1
_COSIGNATURE_KEY = 4
_DASH = "\u2014 "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """A log's statement about itself: origin, number of leaves, 32-byte root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The exact text that the log signs, ending in a newline."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root)}\n"


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: name, key id, and the bytes behind the key id."""

    name: str
    key_id: bytes
    blob: bytes


@dataclass(frozen=True)
class Note:
    """A parsed note. It proves nothing until `verify_log` or `cosigners` is called."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def verify_log(self, public: str) -> bool:
        """Tell whether the log's base64 key signed this checkpoint under the origin's name."""
        return self.log_signature(public) != b""

    def log_signature(self, public: str) -> bytes:
        """Return the log's own Ed25519 signature over this checkpoint; empty if there is none."""
        origin, message = self.checkpoint.origin, self.checkpoint.text.encode()
        expected = key_id(origin, public, _LOG_KEY)
        for one in self.signatures:
            if one.name == origin and one.key_id == expected and _holds(public, one.blob, message):
                return one.blob
        return b""

    def cosigners(self, keys: Mapping[str, str]) -> frozenset[str]:
        """Return the names, among `{name: base64 key}`, that validly cosigned this checkpoint."""
        return frozenset(
            signature.name
            for signature in self.signatures
            if signature.name in keys and self._cosigned(signature, keys[signature.name])
        )

    def _cosigned(self, signature: NoteSignature, public: str) -> bool:
        blob = signature.blob
        if signature.key_id != key_id(signature.name, public, _COSIGNATURE_KEY) or len(blob) != 72:
            return False
        time_s = int.from_bytes(blob[:8], "big")
        return _holds(public, blob[8:], _cosigned_message(self.checkpoint, time_s))


@lru_cache(maxsize=1024)
def key_id(name: str, public: str, kind: int) -> bytes:
    """Return the four-byte C2SP key id of a base64 Ed25519 key under a name."""
    raw = b64decode(public, 64)
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + raw).digest()[:4]


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Return the note that the log publishes: the checkpoint signed under its origin's name.

    Raises:
        SecureFlowError: `malformed_note` for an origin, size or root that no parser would accept.
    """
    checkpoint = _checked(checkpoint)
    signature = key.private.sign(checkpoint.text.encode())
    return checkpoint.text + "\n" + _line(checkpoint.origin, key, _LOG_KEY, signature)


def signed_note(checkpoint: Checkpoint, public: str, signature: bytes) -> str:
    """Return a note with a signature that somebody says is the log's; nothing is verified.

    Raises:
        SecureFlowError: `malformed_note` for an origin, size or root that no parser would accept.
    """
    checkpoint = _checked(checkpoint)
    blob = b64encode(key_id(checkpoint.origin, public, _LOG_KEY) + signature)
    return f"{checkpoint.text}\n{_DASH}{checkpoint.origin} {blob}\n"


def cosign(note_text: str, name: str, key: SigningKey, time_s: int) -> str:
    """Return the witness's `cosignature/v1` line over a note seen at `time_s` (Unix seconds)."""
    checkpoint = parse_note(note_text).checkpoint
    if not is_key_name(name):
        raise _malformed(Text("{name!r} cannot name a key", name=name))
    if not 0 < time_s < 1 << 63:
        raise _malformed(Text("{time} is not a time in Unix seconds", time=time_s))
    signature = key.private.sign(_cosigned_message(checkpoint, time_s))
    return _line(name, key, _COSIGNATURE_KEY, time_s.to_bytes(8, "big") + signature)


def attach(note_text: str, lines: Iterable[str]) -> str:
    """Return the note with signature lines added, each once, in the order given.

    Raises:
        SecureFlowError: `malformed_note` if the result is not a valid note.
    """
    present = set(note_text.splitlines(keepends=True))
    text = note_text + "".join(line for line in dict.fromkeys(lines) if line not in present)
    parse_note(text)
    return text


def parse_note(text: str) -> Note:
    """Parse a foreign note of at most 64 KiB and 300 signature lines.

    Raises:
        SecureFlowError: `malformed_note` naming the line and the reason.
    """
    if len(text) > MAX_NOTE_BYTES or len(text.encode(errors="replace")) > MAX_NOTE_BYTES:
        raise _malformed(
            Text("it has more than {max_note_bytes} bytes", max_note_bytes=MAX_NOTE_BYTES)
        )
    lines = text.split("\n")
    if len(lines) > MAX_SIGNATURES + 5:
        raise _malformed(
            Text("it has more than {max_signatures} signature lines", max_signatures=MAX_SIGNATURES)
        )
    if len(lines) < 6 or lines[3] or lines[-1]:
        raise _malformed("it is not three lines, an empty line and at least one signature line")
    checkpoint = _parse_checkpoint(lines[0], lines[1], lines[2])
    return Note(checkpoint, tuple(_parse_signature(line) for line in lines[4:-1]))


def noted_size(text: str) -> int:
    """Return the size of a note's checkpoint; its signature lines are not parsed.

    Raises:
        SecureFlowError: `malformed_note`.
    """
    lines = text[:MAX_NOTE_BYTES].split("\n", 3)
    if len(lines) < 4:
        raise _malformed("it is not three lines, an empty line and at least one signature line")
    return _parse_checkpoint(lines[0], lines[1], lines[2]).size


def is_key_name(name: object) -> bool:
    """Tell whether a name is valid in a signature line: printable, without spaces or `+`."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return False
    return name.isprintable() and "+" not in name and " " not in name  # no other space prints


def _parse_checkpoint(origin: str, size: str, root: str) -> Checkpoint:
    if not _SIZE.fullmatch(size):
        raise _malformed("line 2 must be a decimal size")
    return _checked(Checkpoint(origin, int(size), _decode(root, 64, "line 3")))


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    if not is_key_name(checkpoint.origin):
        raise _malformed("line 1 must be an origin: printable text without spaces or '+'")
    if not 0 <= checkpoint.size < MAX_SIZE:
        raise _malformed("line 2 is out of range")
    if len(checkpoint.root) != HASH_BYTES:
        raise _malformed("line 3 must be a 32-byte root")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise _malformed("an empty log has only one root")
    return checkpoint


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not is_key_name(name):
        raise _malformed("a signature line must begin with a dash and a key name")
    blob = _decode(encoded, MAX_NOTE_BYTES, Text("the signature of {name}", name=name))
    if len(blob) < 5:
        raise _malformed(
            Text("the signature of {name} is shorter than a key id and a byte", name=name)
        )
    return NoteSignature(name, blob[:4], blob[4:])


def _cosigned_message(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{checkpoint.text}".encode()


def _line(name: str, key: SigningKey, kind: int, signature: bytes) -> str:
    return f"{_DASH}{name} {b64encode(key_id(name, key.public, kind) + signature)}\n"


def _holds(public: str, signature: bytes, message: bytes) -> bool:
    try:
        public_key(public).verify(signature, message)
    except (InvalidSignature, SecureFlowError):
        return False
    return True


def _decode(text: str, limit: int, what: str) -> bytes:
    try:
        return b64decode(text, limit)
    except SecureFlowError as error:
        raise _malformed(Text("{what} is not base64", what=what)) from error


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_note",
        Text("The checkpoint note is malformed: {reason}.", reason=reason),
        "Ask its sender for a C2SP tlog-checkpoint; do not edit notes by hand.",
    )
