"""The port `KeyVault`: what wraps private keys for the disk, and unwraps them again.

It stands in the kit, because the centre, the agents and the enclave use it, and what an enclave
runs reaches nothing of `application`. Its adapters are in `adapters/keyvault`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyenvelope import Envelope, KeyLabel
from secureflow.kit.text import Text


class KeyVaultError(SecureFlowError):
    """A wrapped key cannot be had: not a damaged file, which a backup would bring back."""


class KeyVault(Protocol):
    """Wraps and unwraps keys under one wrapping key, or under the first of several."""

    @property
    def source(self) -> str:
        """Where its wrapping key comes from: `passphrase`, `key` or `pkcs11`."""

    def wrap(self, label: KeyLabel, secret: bytes, public: str, now: int) -> Envelope:
        """Wrap a key.

        Args:
            label: what it is for, and whose.
            secret: the key's bytes.
            public: hex fingerprint of its public key, or nothing.
            now: unix seconds.

        Raises:
            KeyVaultError: `wrapping_key_unavailable`.
        """

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """Return the key's bytes; None if another wrapping key wrapped it.

        Raises:
            KeyVaultError: `wrapping_key_unavailable`; `wrapped_key_changed` if it was wrapped by
                this one and altered since.
        """

    def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether its wrapping key, the first of several, wrapped it."""


class SeveralVaults:
    """The first one wraps, each unwraps what it wrapped: while wrapping keys are changed."""

    def __init__(self, vaults: Sequence[KeyVault]) -> None:
        self._vaults = tuple(vaults)

    @property
    def source(self) -> str:
        """Where the first one's wrapping key comes from."""
        return self._vaults[0].source

    def wrap(self, label: KeyLabel, secret: bytes, public: str, now: int) -> Envelope:
        """Wrap a key under the first."""
        return self._vaults[0].wrap(label, secret, public, now)

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """Return what the one that wrapped it unwraps."""
        for one in self._vaults:
            if (secret := one.unwrap(envelope)) is not None:
                return secret
        return None

    def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether the first one wrapped it."""
        return self._vaults[0].wrapped(envelope)


def changed(envelope: Envelope) -> KeyVaultError:
    """Return the error for an envelope that its own wrapping key does not open."""
    return KeyVaultError(
        "wrapped_key_changed",
        Text(
            "The wrapped {purpose} key of {owner} was changed after it was wrapped.",
            purpose=envelope.label.purpose,
            owner=envelope.label.owner,
        ),
        "Restore the key from a backup, and find out who changed it.",
    )
