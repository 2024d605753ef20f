"""One party's secrets of a round, and shares sealed from one party to another.

All secrets of a round are derived from one 32-byte seed, so a restarted party sends exactly
what it sent before. A share pair is sealed under
`HKDF(X25519(sealing_from, sealing_to), job ‖ round ‖ from ‖ to ‖ sender's round-key digest ‖ both
sealing-key digests)`: one direction and one plaintext per key, hence the constant nonce; and only
those two parties can have created it. A share that is swapped or reflected does not open.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secureflow.engines.secagg.masks import derive_key
from secureflow.engines.secagg.messages import RoundKey, Setup
from secureflow.engines.secagg.shamir import PRIME, SHARE_BYTES, split
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_NONCE = bytes(12)


@dataclass(frozen=True)
class RoundSecrets:
    """Mask key s and self-mask seed b of one party and round, from one seed."""

    seed: bytes = field(repr=False)
    threshold: int
    holders: int

    @cached_property
    def mask_secret(self) -> bytes:
        """s: the raw X25519 private key."""
        return derive_key(self.seed, "mask key")

    @cached_property
    def mask_key(self) -> X25519PrivateKey:
        """s as a key object."""
        return X25519PrivateKey.from_private_bytes(self.mask_secret)

    @cached_property
    def self_seed(self) -> bytes:
        """b: the seed of the self mask."""
        return derive_key(self.seed, "self mask")

    @cached_property
    def shares(self) -> list[tuple[int, int]]:
        """Each holder's share of (s, b)."""
        size = self.threshold, self.holders
        of_key = split(self.mask_secret, *size, derive_key(self.seed, "share s"))
        of_seed = split(self.self_seed, *size, derive_key(self.seed, "share b"))
        return list(zip(of_key, of_seed, strict=True))


def commit(job: str, round_: int, party: str, self_seed: bytes) -> str:
    """Return the hex commitment to a self-mask seed (hiding: the seed has 256 bits)."""
    label = "\n".join(("sf-secagg-1 commitment", job, str(round_), party, ""))
    return hashlib.sha256(label.encode() + self_seed).hexdigest()


def public_text(key: X25519PrivateKey) -> str:
    """Return the base64 public key."""
    return b64encode(key.public_key().public_bytes_raw())


def agree(private: X25519PrivateKey, public: str, party: str) -> bytes:
    """Return the 32-byte X25519 shared secret with a party's public key.

    Raises:
        SecureFlowError: `weak_key` for a low-order point (RFC 7748, section 6.1).
    """
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(b64decode(public, 64)))
    except ValueError as error:
        raise SecureFlowError(
            "weak_key",
            Text("{party}'s X25519 key is malformed or of low order.", party=party),
            "",
            {"party": party, "signer": party},
        ) from error


def seal_pair(
    agreed: bytes, sender: Setup, receiver: Setup, key: RoundKey, pair: tuple[int, int]
) -> bytes:
    """Seal a share pair (of s, of b) of the round key `key` from its owner to the receiver."""
    plain = b"".join(share.to_bytes(SHARE_BYTES, "big") for share in pair)
    return _cipher(agreed, sender, receiver, key.digest, key.round).encrypt(_NONCE, plain, None)


def open_pair(
    agreed: bytes, sender: Setup, receiver: Setup, key: RoundKey, sealed: bytes | memoryview
) -> tuple[int, int]:
    """Open a share pair.

    Raises:
        SecureFlowError: `share_unopenable` naming the sender.
    """
    cipher = _cipher(agreed, sender, receiver, key.digest, key.round)
    try:
        plain = cipher.decrypt(_NONCE, sealed, None)
    except InvalidTag as error:
        reason = "was not sealed by it to this party for this round"
        raise _unopenable(sender.party, reason) from error
    pair = (int.from_bytes(plain[:SHARE_BYTES], "big"), int.from_bytes(plain[SHARE_BYTES:], "big"))
    if max(pair) >= PRIME:
        raise _unopenable(sender.party, "is not an element of the field")
    return pair


def _cipher(agreed: bytes, sender: Setup, receiver: Setup, round_key: str, round_: int) -> AESGCM:
    parts = (sender.job, str(round_), sender.party, receiver.party, round_key)
    return AESGCM(derive_key(agreed, "share", *parts, sender.digest, receiver.digest))


def _unopenable(party: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "share_unopenable",
        Text("The share from {party} {reason}.", party=party, reason=reason),
        "No mask was made. If it repeats, the party or the server is at fault: leave it out.",
        {"party": party, "signer": party},
    )
