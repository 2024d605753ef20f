"""The centre's own keys: where they are missing or damaged, a record decides what the way back is.

A centre that had a record cannot be set up again in its folder: every agent knows these keys.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from secureflow.kit.caroots import root_name, roots
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import (
    CA,
    CA_NEXT,
    ENROLMENT,
    FIRST_LOGIN,
    LOG,
    LOG_NEXT,
    KeyPlace,
    link_places,
)
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.pki import Authority, ca_fingerprint
from secureflow.kit.recordmark import read_mark
from secureflow.kit.text import Text
from secureflow.server.settings import ServerSettings

NEXT_KEY: Final = "next.key"
"""In the folder of the CA, the key of its successor."""
ADMIN_FILE: Final = "admin.password"
ENCLAVE_FILE: Final = "enclave.token"
_BACK: Final = (
    "Put log.key and ca (ca.key, ca.pem) back from the newest backup: secureflow server restore "
    "BACKUP --dir FOLDER (docs/deploy.md). A new key cannot replace them: every agent knows these."
)
_FIRST: Final = (
    "Name a folder in which secureflow server init was completed, or correct the paths in "
    "server.yaml."
)


def read_log_key(settings: ServerSettings) -> SigningKey:
    """Read the log's signing key.

    Raises:
        KeyVaultError: it is wrapped and cannot be unwrapped.
        SecureFlowError: `key_unreadable`; `key_exposed` if others can read it.
    """
    path = settings.log_key
    try:
        return SigningKey.load(path, settings.key_files, LOG)
    except (OSError, SecureFlowError) as error:
        if isinstance(error, KeyVaultError) or getattr(error, "code", "") == "key_exposed":
            raise
        raise SecureFlowError(
            "key_unreadable",
            Text("The log's signing key {path} cannot be read.", path=path),
            _way_back(settings),
        ) from error


def read_authority(settings: ServerSettings) -> Authority:
    """Read the certificate authority.

    Raises:
        SecureFlowError: `ca_unreadable`; `ca_foreign` if it is another centre's; `key_exposed` if
            others can read its key.
    """
    try:
        found = Authority.load(settings.ca, settings.key_files)
    except SecureFlowError as error:
        if error.code == "ca_unreadable":
            error.hint = _way_back(settings)
        raise
    foreign = False
    with suppress(OSError, ValueError, SecureFlowError):  # the next start makes it, or names it
        known = roots((settings.tls / "ca.pem").read_text("ascii"))  # several while it changes
        foreign = ca_fingerprint(found.pem) not in map(root_name, known)
    if foreign:
        raise SecureFlowError(
            "ca_foreign",
            Text(
                "The certificate authority in {directory} is another centre's: it did not issue "
                "{certificate}.",
                directory=settings.ca,
                certificate=settings.tls / "link.pem",
            ),
            _BACK,
        )
    return found


def key_places(settings: ServerSettings) -> list[KeyPlace]:
    """Return where the centre's private keys lie, existing or not."""
    ca = [KeyPlace(settings.ca / "ca.key", CA), KeyPlace(settings.ca / NEXT_KEY, CA_NEXT)]
    log = [KeyPlace(settings.log_key, LOG), KeyPlace(next_log_key(settings), LOG_NEXT)]
    own = [*ca, *log]
    handed = [
        KeyPlace(settings.directory / ADMIN_FILE, FIRST_LOGIN),
        KeyPlace(settings.directory / ENCLAVE_FILE, ENROLMENT),
    ]
    return [*own, *link_places(settings.tls), *handed]


def next_log_key(settings: ServerSettings) -> Path:
    """Return where the successor of the log's key lies, if there is one."""
    return settings.log_key.with_name(f"{settings.log_key.stem}.next{settings.log_key.suffix}")


def _way_back(settings: ServerSettings) -> str:
    return _BACK if _had_record(settings.directory) else _FIRST


def _had_record(directory: Path) -> bool:
    """Return whether a centre of this folder ever ran; a damaged mark tells that it did."""
    try:
        return read_mark(directory) is not None
    except SecureFlowError:
        return True
