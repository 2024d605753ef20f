"""The account with which an agent sends: a secp256k1 key of its own, kept as its other keys are.

Signing takes coincurve: eth-account's own Python signs 31 times a second, with it some 400.
"""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coincurve import PrivateKey
from eth_account import Account
from eth_utils.crypto import keccak

from secureflow.adapters.anchors.evm import RECURSION
from secureflow.adapters.anchors.evm.owning import sole_owner
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.text import Text

sys.setrecursionlimit(RECURSION)

PURPOSE: Final = "evm-account"
_TEXT: Final = re.compile(rb"[0-9a-f]{64}\n?")


@dataclass(frozen=True)
class Signed:
    """A signed transaction: its bytes, and the hash that names it (lowercase hex, without 0x)."""

    raw: bytes
    id: str


class EvmAccount:
    """Signs transactions with one key.

    Args:
        secret: the key's 32 bytes.
        path: its file; None for one that is not kept.
    """

    def __init__(self, secret: bytes, path: Path | None = None) -> None:
        self._secret = secret
        self._path = path
        public = PrivateKey(secret).public_key.format(compressed=False)
        self.address = f"0x{keccak(public[1:])[-20:].hex()}"

    def __repr__(self) -> str:
        """Show the address and nothing else."""
        return f"EvmAccount({self.address})"

    @property
    def word(self) -> bytes:
        """The account's 32-byte name (`entries.Admit`): the address, left-padded."""
        return word_of(self.address)

    def owned(self) -> AbstractContextManager[None]:
        """Hold the key's file while its transactions are numbered.

        Raises:
            SecureFlowError: `anchor_key_shared`: another process does.
        """
        return nullcontext() if self._path is None else sole_owner(self._path)

    def signed(self, fields: dict[str, Any]) -> Signed:
        """Return the transaction of these fields, signed."""
        made = Account.sign_transaction(fields, self._secret)
        return Signed(bytes(made.raw_transaction), bytes(made.hash).hex())


def word_of(address: str) -> bytes:
    """Return an address (hex with 0x) as a 32-byte value."""
    return bytes.fromhex(address.removeprefix("0x")).rjust(32, b"\0")


def address_of(word: bytes) -> str:
    """Return a 32-byte value as the address in it."""
    return f"0x{word[-20:].hex()}"


def make_account(path: Path, files: KeyFiles) -> EvmAccount:
    """Make a key and write it: mode 0600, wrapped as the others are.

    Raises:
        FileExistsError: an existing key is never overwritten.
        KeyVaultError: the wrapping key cannot be had.
    """
    secret = PrivateKey().secret
    made = EvmAccount(secret, path)
    files.write_new(path, f"{secret.hex()}\n".encode(), PURPOSE, made.word.hex())
    return made


def load_account(path: Path, files: KeyFiles) -> EvmAccount:
    """Read the key that `make_account` wrote.

    Raises:
        KeyVaultError, OSError: as `KeyFiles.read`.
        SecureFlowError: `key_exposed`, `key_unreadable`.
    """
    found = files.read(path, PURPOSE)
    try:
        if not _TEXT.fullmatch(found):
            raise ValueError
        return EvmAccount(bytes.fromhex(found.decode("ascii").strip()), path)
    except ValueError:
        raise SecureFlowError(  # not `from`: it might show the key
            "key_unreadable",
            Text("{path} does not hold the key of an account.", path=path),
            "Restore the key from a backup.",
        ) from None
