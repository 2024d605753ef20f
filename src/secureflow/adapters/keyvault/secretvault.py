"""Wraps keys under a secret: a passphrase, or 32 random bytes written as 64 hex digits.

    passphrase: main key = scrypt (RFC 7914) of the passphrase and a salt, r = 8, p = 1
    32 bytes:   main key = the bytes
    each key:   AES-256-GCM under HKDF-SHA256(main key, info = purpose, owner), random nonce

A text of secrets has one a line: the first wraps, the others still unwrap, so that a wrapping key
is replaced without a moment at which a key cannot be read.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyenvelope import Envelope, KeyLabel
from secureflow.kit.keyvault import KeyVault, KeyVaultError, SeveralVaults, changed
from secureflow.kit.text import Text

LEAST_LOG2: Final = 15
MOST_LOG2: Final = 20
USUAL_LOG2: Final = 16
"""N of scrypt is 2 to this: some 0.2 s and 64 MiB for each attempted passphrase."""
LEAST_PASSPHRASE: Final = 12
MOST_SECRETS: Final = 8
_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")
_SCRYPT, _HKDF = "scrypt", "hkdf"
_SALT: Final = 16


class PassphraseVault:
    """Wraps under a passphrase; the main key of a salt is derived once.

    Args:
        passphrase: the secret.
        log2: N of scrypt is 2 to this, for what it wraps.
    """

    source = "passphrase"

    def __init__(self, passphrase: str, log2: int = USUAL_LOG2) -> None:
        self._passphrase = passphrase.encode()
        self._log2 = log2
        self._own: tuple[bytes, int] | None = None
        self._derived: dict[tuple[bytes, int], bytes] = {}

    def wrap(self, label: KeyLabel, secret: bytes, public: str, now: int) -> Envelope:
        """Wrap a key; all that it wraps have one salt, so that one derivation opens them."""
        salt, log2 = self._own = self._own or (secrets.token_bytes(_SALT), self._log2)
        parameters: dict[str, int | str] = {"salt": b64encode(salt), "log2": log2}
        return _wrapped(
            self._main(salt, log2), Envelope(label, _SCRYPT, "", public, now, b"", parameters),
            secret,
        )  # fmt: skip

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """Return the key's bytes; None if another passphrase wrapped it."""
        main = self._main_of(envelope)
        return None if main is None else _unwrapped(main, envelope)

    def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether this passphrase wrapped it, at no lower cost than is set now."""
        main = self._main_of(envelope)
        if main is None or _identity(main) != envelope.wrapper:
            return False
        return int(envelope.parameters["log2"]) >= self._log2

    def _main_of(self, envelope: Envelope) -> bytes | None:
        if envelope.scheme != _SCRYPT:
            return None
        salt, log2 = _parameters(envelope)
        if self._own is None and log2 >= self._log2:
            main = self._main(salt, log2)
            if _identity(main) == envelope.wrapper:
                self._own = salt, log2  # what is wrapped next opens by the same derivation
        return self._main(salt, log2)

    def _main(self, salt: bytes, log2: int) -> bytes:
        known = self._derived.get((salt, log2))
        if known is None:
            if len(self._derived) >= MOST_SECRETS:
                self._derived.clear()
            known = Scrypt(salt=salt, length=32, n=1 << log2, r=8, p=1).derive(self._passphrase)
            self._derived[salt, log2] = known
        return known


class WrappingKeyVault:
    """Wraps under 32 random bytes."""

    source = "key"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def wrap(self, label: KeyLabel, secret: bytes, public: str, now: int) -> Envelope:
        """Wrap a key."""
        return _wrapped(self._key, Envelope(label, _HKDF, "", public, now, b""), secret)

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """Return the key's bytes; None if another wrapping key wrapped it."""
        return _unwrapped(self._key, envelope) if envelope.scheme == _HKDF else None

    def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether it wrapped it."""
        return envelope.scheme == _HKDF and _identity(self._key) == envelope.wrapper


def secret_vault(text: str, log2: int, where: str) -> KeyVault:
    """Return the vault of a text of secrets, one a line.

    Args:
        text: the secrets.
        log2: cost of scrypt, of what is wrapped.
        where: where they come from, for the error.

    Raises:
        KeyVaultError: `wrapping_key_unavailable` naming the place, never the secret.
    """
    return SeveralVaults([_vault(line, log2, where) for line in secret_lines(text, where)])


def secret_lines(text: str, where: str) -> list[str]:
    """Return the secrets of a text, the one that wraps first.

    Raises:
        KeyVaultError: `wrapping_key_unavailable`.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or len(lines) > MOST_SECRETS:
        raise KeyVaultError(
            "wrapping_key_unavailable",
            Text("{where} holds no wrapping key.", where=where)
            if not lines
            else Text("{where} holds more than {most} lines.", where=where, most=MOST_SECRETS),
            "One line: 64 hex digits (openssl rand -hex 32), or a passphrase.",
        )
    return lines


def is_key(line: str) -> bool:
    """Tell whether a secret is 32 bytes in hex, and not a passphrase."""
    return _KEY.fullmatch(line) is not None


def new_key() -> str:
    """Draw a wrapping key; return it as 64 hex digits."""
    return secrets.token_hex(32)


def check_secret(line: str, where: str) -> None:
    """Refuse a passphrase that is easy to guess.

    Raises:
        KeyVaultError: `wrapping_key_weak`.
    """
    weak = len(set(line.lower())) < 6 if is_key(line) else len(line) < LEAST_PASSPHRASE
    if weak:
        raise KeyVaultError(
            "wrapping_key_weak",
            Text(
                "The wrapping key in {where} is easy to guess: anyone who finds the folder "
                "could soon open its keys.",
                where=where,
            ),
            "Take 64 random hex digits (openssl rand -hex 32), or a passphrase of at least 12 "
            "characters, such as four random words.",
        )


def _vault(line: str, log2: int, where: str) -> KeyVault:
    check_secret(line, where)
    return WrappingKeyVault(bytes.fromhex(line)) if is_key(line) else PassphraseVault(line, log2)


def _parameters(envelope: Envelope) -> tuple[bytes, int]:
    """Return salt and cost, bounded: a changed envelope must not take all memory."""
    salt, log2 = envelope.parameters.get("salt"), envelope.parameters.get("log2")
    if not isinstance(log2, int) or not LEAST_LOG2 <= log2 <= MOST_LOG2:
        raise changed(envelope)
    try:
        known = b64decode(salt, 64) if isinstance(salt, str) else b""
    except SecureFlowError as error:
        raise changed(envelope) from error
    if len(known) != _SALT:
        raise changed(envelope)
    return known, log2


def _wrapped(main: bytes, blank: Envelope, secret: bytes) -> Envelope:
    envelope = replace(blank, wrapper=_identity(main), nonce=secrets.token_bytes(12))
    cipher = AESGCM(_derived(main, _info(envelope.label)))
    return envelope.holding(cipher.encrypt(envelope.nonce, secret, envelope.additional))


def _unwrapped(main: bytes, envelope: Envelope) -> bytes | None:
    if _identity(main) != envelope.wrapper:
        return None
    cipher = AESGCM(_derived(main, _info(envelope.label)))
    try:
        return cipher.decrypt(envelope.nonce, envelope.sealed, envelope.additional)
    except InvalidTag as error:
        raise changed(envelope) from error


def _identity(main: bytes) -> str:
    return _derived(main, b"secureflow/v1 wrapping key identity")[:16].hex()


def _info(label: KeyLabel) -> bytes:
    return b"secureflow/v1 wrapped key\n" + f"{label.purpose}\n{label.owner}".encode()


def _derived(main: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(main)
