"""Private keys on disk: read and written wrapped where a wrapping key is configured.

A key file holds the key as it is (mode 0600) or an envelope (`kit.keyenvelope`), and may go on with
what is no secret: the certificates of `link.pem`. Plain ones are read as well, so that the folders
of earlier versions work; checks name them, and `secureflow keys wrap` wraps them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.atomic import write_new
from secureflow.kit.clock import system_clock
from secureflow.kit.keyenvelope import Envelope, KeyLabel, is_wrapped, parse_envelope
from secureflow.kit.keyvault import KeyVault, KeyVaultError
from secureflow.kit.privatefiles import read_private
from secureflow.kit.text import Text

CA: Final = "link-ca"
CA_NEXT: Final = "link-ca-next"
LOG: Final = "log"
LOG_NEXT: Final = "log-next"
SIGNING: Final = "signing"
IDENTITY: Final = "identity"
LINK: Final = "link"
LINK_NEXT: Final = "link-next"
LINK_BEFORE: Final = "link-before"
FIRST_LOGIN: Final = "first-login"
ENROLMENT: Final = "enclave-enrolment"
"""Purposes of keys, and of the two secrets that a new centre hands to people."""
HANDED_OVER: Final = frozenset((FIRST_LOGIN, ENROLMENT))
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
CONFIGURE: Final = (
    "Name the wrapping key under `keys` in the settings (docs/keys.md), as it was "
    "when the key was wrapped."
)


@dataclass(frozen=True)
class KeyPlace:
    """Where a private key lies, and what it is for."""

    path: Path
    purpose: str


class KeyFiles:
    """One process's private keys on disk.

    Args:
        owner: stands in every envelope: nobody else's key opens in its place.
        opened: opens the vault when it is needed first; None without a wrapping key.
    """

    def __init__(self, owner: str, opened: Callable[[], KeyVault | None]) -> None:
        self.owner = owner
        self._opened = opened
        self._vault: KeyVault | None = None

    @property
    def vault(self) -> KeyVault | None:
        """What wraps keys; None without a wrapping key.

        Raises:
            KeyVaultError: it is configured and cannot be had.
        """
        if self._vault is None:
            self._vault = self._opened()
        return self._vault

    def read(self, path: Path, purpose: str) -> bytes:
        """Return the bytes of a key's file, unwrapped.

        Raises:
            KeyVaultError: the key is wrapped, and cannot be unwrapped.
            SecureFlowError: `key_exposed`, `wrapped_key_malformed`.
            OSError: the file cannot be read.
        """
        return self.unwrapped(read_private(path), purpose, str(path))

    def unwrapped(self, data: bytes, purpose: str, place: str) -> bytes:
        """Return the bytes of a key's file, unwrapped; `place` is named in errors.

        Raises:
            KeyVaultError, SecureFlowError: as `read`.
        """
        if not is_wrapped(data):
            return data
        text, rest = split(data)
        envelope = parse_envelope(text, place)
        if self.vault is None:
            raise KeyVaultError(
                "wrapping_key_missing",
                Text("{place} is wrapped, and no wrapping key is configured.", place=place),
                CONFIGURE,
            )
        label = KeyLabel(purpose, self.owner)
        if envelope.label != label:
            raise _swapped(place, envelope.label, label)
        secret = self.vault.unwrap(envelope)
        if secret is None:
            raise KeyVaultError(
                "wrapping_key_wrong",
                Text(
                    "{place} was wrapped by another wrapping key than the one configured.",
                    place=place,
                ),
                CONFIGURE,
            )
        return secret + rest

    def wrapped(self, data: bytes, purpose: str, public: str = "") -> bytes:
        """Return the bytes of a key's file, wrapped if a wrapping key is configured.

        Args:
            data: the key, and what follows it.
            purpose: of the key.
            public: hex fingerprint of its public key.

        Raises:
            KeyVaultError: the wrapping key cannot be had.
        """
        if self.vault is None:
            return data
        secret, rest = split(data)
        label = KeyLabel(purpose, self.owner)
        return self.vault.wrap(label, secret, public, system_clock()).text() + rest

    def write_new(self, path: Path, data: bytes, purpose: str, public: str = "") -> None:
        """Write a new key's file: complete, on disk, mode 0600, and wrapped as configured.

        Raises:
            FileExistsError: an existing file is never overwritten.
            KeyVaultError: the wrapping key cannot be had.
        """
        write_new(path, self.wrapped(data, purpose, public))

    def envelope(self, path: Path) -> Envelope | None:
        """Return the envelope in a key's file; None if the key is not wrapped.

        Raises:
            SecureFlowError: `key_exposed`, `wrapped_key_malformed`.
            OSError: the file cannot be read.
        """
        data = read_private(path)
        return parse_envelope(split(data)[0], str(path)) if is_wrapped(data) else None


def plain_keys() -> KeyFiles:
    """Return what reads and writes plain keys, and unwraps none."""
    return KeyFiles("-", _no_vault)


def _no_vault() -> KeyVault | None:
    return None


def split(data: bytes) -> tuple[bytes, bytes]:
    """Split a key's file into the key, wrapped or not, and the certificates after it."""
    at = data.find(_CERTIFICATE)
    return (data, b"") if at < 0 else (data[:at], data[at:])


def link_places(directory: Path) -> list[KeyPlace]:
    """Return where the private keys of link credentials lie, existing or not."""
    names = {"link.pem": LINK, "link.next": LINK_NEXT, "link.before": LINK_BEFORE}
    return [KeyPlace(directory / name, purpose) for name, purpose in names.items()]


def not_wrapped(places: Sequence[KeyPlace]) -> list[Path]:
    """Return the files that hold a plain key; an unreadable one has its own check."""
    found = []
    for one in places:
        with contextlib.suppress(OSError):
            with one.path.open("rb") as file:
                start = file.read(64)
            if start and not is_wrapped(start):
                found.append(one.path)
    return found


def _swapped(place: str, found: KeyLabel, wanted: KeyLabel) -> KeyVaultError:
    return KeyVaultError(
        "wrapped_key_swapped",
        Text(
            "{place} holds the {found} key of {whose}, not the {wanted} key of {owner}.",
            place=place,
            found=found.purpose,
            whose=found.owner,
            wanted=wanted.purpose,
            owner=wanted.owner,
        ),
        "Put the right file back from the newest backup.",
    )
