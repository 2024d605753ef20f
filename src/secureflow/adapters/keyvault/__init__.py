"""What wraps private keys on disk (port: `kit.keyvault.KeyVault`).

`secretvault` works under a passphrase or a 32-byte key, wherever these come from; `tokenvault` has
an AES key in a PKCS#11 token do it, which never leaves the token. `sources` reads the setting.
"""

from __future__ import annotations

from secureflow.adapters.keyvault.sources import (
    KeySettings,
    KeySource,
    LocalKeySettings,
    given_keys,
    key_files,
    make_key_file,
    name_key_file,
)

__all__ = [
    "KeySettings",
    "KeySource",
    "LocalKeySettings",
    "given_keys",
    "key_files",
    "make_key_file",
    "name_key_file",
]
