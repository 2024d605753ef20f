"""Replaces a wrapping key: the new one first, then every key under it, the old one last.

Killed anywhere, each key is wrapped by a key that the source still has. The old wrapping key stays
until it is dropped by name: another folder may be wrapped by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from secureflow.adapters.keyvault.secretvault import MOST_SECRETS, new_key, secret_lines
from secureflow.adapters.keyvault.sources import (
    AnyKeySettings,
    KeySettings,
    check_outside,
    read_secrets,
    token_vault,
)
from secureflow.kit.atomic import write_atomically
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.text import Text


def rotate(
    settings: AnyKeySettings,
    folders: Sequence[Path],
    rewrap: Callable[[], object],
    *,
    drop_old: bool = False,
) -> None:
    """Make a new wrapping key, wrap everything under it, and drop the old ones if asked.

    Args:
        settings: the setting `keys`.
        folders: those that hold keys.
        rewrap: wraps every key under the newest wrapping key; it opens the source anew.
        drop_old: destroy the old wrapping keys at the end.

    Raises:
        KeyVaultError: `wrapping_key_managed` for a source that is changed elsewhere,
            `wrapping_key_missing`, `wrapping_key_unavailable`; those of `rewrap`.
    """
    token = settings.pkcs11 if isinstance(settings, KeySettings) else None
    if token is not None:
        vault = token_vault(token, folders)
        vault.make_key()
        rewrap()
        if drop_old:
            vault.remove_older()
    elif settings.file is not None:
        check_outside(settings.file, folders)
        _rotate_file(settings.file, rewrap, drop_old=drop_old)
    else:
        raise _elsewhere(settings)


def _rotate_file(path: Path, rewrap: Callable[[], object], *, drop_old: bool) -> None:
    lines = secret_lines(read_secrets(path), str(path))
    if len(lines) >= MOST_SECRETS:
        raise KeyVaultError(
            "wrapping_key_unavailable",
            Text("{path} has {count} wrapping keys already.", path=path, count=len(lines)),
            "Remove the lines at its end whose keys wrap nothing any more.",
        )
    if path.stat().st_uid != os.geteuid():
        raise KeyVaultError(
            "wrapping_key_managed",
            Text("The wrapping key {path} belongs to another user.", path=path),
            "Let its owner put a new line before the others, and then: secureflow keys wrap.",
        )
    fresh = new_key()
    _write(path, [fresh, *lines])
    rewrap()
    if drop_old:
        _write(path, [fresh])


def _write(path: Path, lines: Sequence[str]) -> None:
    try:
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise KeyVaultError(
            "wrapping_key_managed",
            Text("The wrapping key {path} cannot be written here.", path=path),
            "Let its owner put a new line before the others, and then: secureflow keys wrap.",
        ) from error


def _elsewhere(settings: AnyKeySettings) -> KeyVaultError:
    if not settings.named:
        return KeyVaultError(
            "wrapping_key_missing",
            "No wrapping key is configured, so there is none to replace.",
            "secureflow keys wrap --wrapping-key FILE",
        )
    return KeyVaultError(
        "wrapping_key_managed",
        Text(
            "The wrapping key comes from keys.{source}, which is changed where it is kept.",
            source=next(iter(settings.named)),
        ),
        "Put the new key before the old one there, on a line of its own, and then: secureflow keys "
        "wrap. Remove the old line afterwards.",
    )
