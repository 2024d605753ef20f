"""Wraps the keys of a folder in place, and tells which are wrapped.

A key is replaced by writing the new file beside it, durably, and renaming: a kill leaves the old or
the new one, and either can be read, since the settings name both wrapping keys meanwhile. The old
plain file is overwritten before its blocks are freed; what a solid-state disk, a copy-on-write file
system or a snapshot keeps of it is out of reach.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.hazmat.primitives import serialization

from secureflow.kit.atomic import write_atomically
from secureflow.kit.canonical import sha256
from secureflow.kit.crypto import SigningKey, fingerprint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding, Passed
from secureflow.kit.keyfiles import (
    HANDED_OVER,
    IDENTITY,
    LOG,
    SIGNING,
    KeyFiles,
    KeyPlace,
    not_wrapped,
    split,
)
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.text import Text

PLAIN: Final = "plain"
WRAPPED: Final = "wrapped"
EARLIER: Final = "wrapped by an earlier key"
UNKNOWN: Final = "wrapped; its wrapping key is not at hand"
_SCHEMES: Final = {"scrypt": "passphrase", "hkdf": "key", "pkcs11": "pkcs11"}
_ED25519: Final = frozenset((SIGNING, LOG, IDENTITY))
_LEFT: Final = re.compile(r"\.(?:[0-9]+|next|new|partial)(?:\.[0-9]+)?(?:\.next)?")
"""What unfinished writes of a key's file are called, after its name."""


@dataclass(frozen=True)
class KeyFolder:
    """One process's keys.

    Attributes:
        process: `server`, `agent` or `enclave`.
        config: its settings file.
        files: reads and writes them.
        places: where they lie, existing or not.
        locked: held while they are replaced; refuses while the process runs.
    """

    process: str
    config: Path
    files: KeyFiles
    places: Sequence[KeyPlace]
    locked: Callable[[], AbstractContextManager[None]]


def described(folder: KeyFolder) -> list[dict[str, Any]]:
    """Return purpose, file, state, source, time and public fingerprint of each key there is.

    Raises:
        SecureFlowError: `key_exposed`, `wrapped_key_malformed`, `key_unreadable`.
        OSError: a file cannot be read.
    """
    return [_described(folder.files, one) for one in folder.places if one.path.exists()]


def wrap_keys(folder: KeyFolder) -> list[Path]:
    """Wrap every key that is plain or wrapped by an earlier key; return their files.

    Raises:
        KeyVaultError: `wrapping_key_missing` where none is configured; it cannot be had; a key
            cannot be unwrapped. What was wrapped before stays so.
        SecureFlowError: those of `locked`; `key_unreadable`.
        OSError: a file cannot be read or written.
    """
    files = folder.files
    if files.vault is None:
        raise KeyVaultError(
            "wrapping_key_missing",
            Text("{config} names no wrapping key.", config=folder.config),
            Text(
                "Name a file outside of the folder, which is made if it is missing: secureflow "
                "keys wrap --config {config} --wrapping-key FILE",
                config=folder.config,
            ),
        )
    with folder.locked():
        for one in folder.places:
            _remove_unfinished(one.path, {place.path for place in folder.places})
        return [one.path for one in folder.places if one.path.exists() and _wrap(files, one)]


def revealed(folder: KeyFolder, name: str) -> str:
    """Return the text of a secret that is handed to people; never a private key.

    Raises:
        KeyVaultError: it cannot be unwrapped.
        SecureFlowError: `not_found`.
    """
    for one in folder.places:
        if one.path.name == name and one.purpose in HANDED_OVER and one.path.exists():
            return folder.files.read(one.path, one.purpose).decode("utf-8", "replace").strip()
    known = [one.path.name for one in folder.places if one.purpose in HANDED_OVER]
    raise SecureFlowError(
        "not_found",
        Text("{config} has no secret {name} to be handed over.", config=folder.config, name=name),
        Text("There are: {known}. Private keys are not shown.", known=", ".join(known) or "-"),
    )


def wrapping_report(files: KeyFiles, places: Sequence[KeyPlace], config: Path) -> dict[str, Any]:
    """Return what a check says of the keys at rest: plain ones pass where nothing else is set."""
    plain = not_wrapped(places)
    try:
        configured = files.vault is not None
    except KeyVaultError as error:
        return Finding("wrapping", error.message, error.hint, error.code).as_json()
    if not plain and not configured:
        return Passed("wrapping", "there are no keys yet").as_json()
    if not plain:
        return Passed("wrapping", "the private keys on disk are wrapped").as_json()
    names = ", ".join(str(path) for path in plain)
    if configured:
        hint = Text("secureflow keys wrap --config {config}", config=config)
        return Finding(
            "wrapping",
            Text("Not wrapped, although a wrapping key is configured: {names}.", names=names),
            hint,
            "keys_not_wrapped",
        ).as_json()
    message = Text("not wrapped: whoever copies the folder has its keys ({names})", names=names)
    hint = Text("secureflow keys wrap --config {config} --wrapping-key FILE", config=config)
    return {**Passed("wrapping", message).as_json(), "hint": hint}


def _described(files: KeyFiles, place: KeyPlace) -> dict[str, Any]:
    envelope = files.envelope(place.path)
    row: dict[str, Any] = {"purpose": place.purpose, "file": str(place.path)}
    if envelope is None:
        secret = split(place.path.read_bytes())[0]
        public = _public(place, secret)
        return {**row, "state": PLAIN, "by": "", "since": None, "public": public}
    source = _SCHEMES.get(envelope.scheme, envelope.scheme)
    state = UNKNOWN
    with contextlib.suppress(KeyVaultError):
        if files.vault is not None and files.vault.wrapped(envelope):
            state = WRAPPED
        elif files.vault is not None and files.vault.unwrap(envelope) is not None:
            state = EARLIER
    return {**row, "state": state, "by": source, "since": envelope.since, "public": envelope.public}


def _wrap(files: KeyFiles, place: KeyPlace) -> bool:
    """Wrap a key unless its newest wrapping key did; return whether it was replaced."""
    envelope = files.envelope(place.path)
    if envelope is not None and files.vault is not None and files.vault.wrapped(envelope):
        return False
    with place.path.open("r+b") as old:
        if os.fstat(old.fileno()).st_uid != os.geteuid():
            raise SecureFlowError(
                "key_unreadable",
                Text("{path} belongs to another user.", path=place.path),
                "Run this as the user of the process: it could not read what another one writes.",
            )
        data = files.read(place.path, place.purpose)
        fresh = files.wrapped(data, place.purpose, _public(place, split(data)[0]))
        if files.unwrapped(fresh, place.purpose, str(place.path)) != data:
            raise KeyVaultError(
                "wrapping_key_unavailable",
                Text("What {path} was wrapped into does not unwrap again.", path=place.path),
                "Nothing was replaced. Check the PKCS#11 token.",
            )
        write_atomically(place.path, fresh)
        if envelope is None:
            _overwrite(old)
    return True


def _overwrite(file: BinaryIO) -> None:
    """Overwrite a file that has lost its name; one that has another name stays as it is."""
    status = os.fstat(file.fileno())
    if status.st_nlink:
        return
    file.seek(0)
    file.write(bytes(status.st_size))
    file.flush()
    os.fsync(file.fileno())


def _remove_unfinished(path: Path, places: set[Path]) -> None:
    """Remove what interrupted writes of a key's file left beside it: it may hold a plain key."""
    for left in _unfinished(path):
        if left in places or left.is_symlink() or not left.is_file():
            continue
        with left.open("r+b") as file:
            left.unlink()
            _overwrite(file)


def _unfinished(path: Path) -> Iterator[Path]:
    folder = path.parent
    if folder.is_dir():
        for one in sorted(folder.iterdir()):
            if one.name.startswith(path.name) and _LEFT.fullmatch(one.name[len(path.name) :]):
                yield one
    partial = folder.with_name(f"{folder.name}.partial") / path.name
    if partial.exists():
        yield partial


def _public(place: KeyPlace, secret: bytes) -> str:
    """Return the hex fingerprint of a key's public key; nothing for a secret that has none."""
    if place.purpose in HANDED_OVER:
        return ""
    try:
        if place.purpose in _ED25519:
            return fingerprint(SigningKey.from_text(secret, str(place.path)).public)
        key = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError) as error:
        raise SecureFlowError(
            "key_unreadable",
            Text("{path} does not hold a private key.", path=place.path),
            "Restore the key from a backup.",
        ) from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(key.public_key().public_bytes(*form)).hex()
