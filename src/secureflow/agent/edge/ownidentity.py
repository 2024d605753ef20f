"""Whether an agent's keys are its own: the folder of one agent may get the files of another.

The record tells: the pinned charter names the key of each member, and own entries have theirs. A
key that neither knows may be a new one, until the members have changed the charter to it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import Final

from secureflow.adapters.link import CredentialFiles
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.charter import SignedCharter
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import SIGNING, KeyPlace, link_places
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import spiffe_id
from secureflow.kit.recordmark import read_mark
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.text import Text

KEY_BACK: Final = (
    "Put this agent's own signing.key back from its newest backup (secureflow agent restore BACKUP "
    "--dir FOLDER). Only if no backup has it: move signing.key, link.pem and ca.pem away, enrol "
    "again, and have the members change the charter to the new key (docs/deploy.md)."
)
_FILES_BACK: Final = (
    "Put this agent's own files back from its newest backup, or correct `organisation` in "
    "agent.yaml."
)

_log = get_logger(__name__)


def read_signing_key(settings: AgentSettings) -> SigningKey:
    """Return the organisation's signing key.

    Raises:
        SecureFlowError: `not_enrolled`; `key_unreadable` if entries were signed with it;
            `key_exposed` when others can read it; KeyVaultError if it cannot be unwrapped.
    """
    try:
        return SigningKey.load(settings.signing_key, settings.key_files)
    except (OSError, SecureFlowError) as error:
        if isinstance(error, KeyVaultError) or getattr(error, "code", "") == "key_exposed":
            raise
        if has_signed(settings):
            raise SecureFlowError(
                "key_unreadable",
                Text(
                    "The signing key {path} is missing or damaged; this agent has signed entries "
                    "of the log with it.",
                    path=settings.signing_key,
                ),
                KEY_BACK,
            ) from error
        raise SecureFlowError(
            "not_enrolled",
            Text("{directory} holds no readable signing key.", directory=settings.directory),
            "Enrol first: secureflow agent enroll DIR --token-file FILE --server URL.",
        ) from error


def key_places(settings: AgentSettings) -> list[KeyPlace]:
    """Return where the agent's private keys lie, existing or not."""
    return [KeyPlace(settings.signing_key, SIGNING), *link_places(settings.directory)]


def has_signed(settings: AgentSettings) -> bool:
    """Return whether this agent has signed entries; a damaged record or mark counts as one."""
    try:
        mark = read_mark(settings.directory)
    except SecureFlowError:
        return True
    if mark is not None and mark.reached.get("leaves"):
        return True
    if not settings.record.is_file():
        return False
    where = f"{settings.record.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(where, uri=True)) as database:
            return database.execute("SELECT 1 FROM leaves LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError:  # it has no tables yet
        return False
    except sqlite3.DatabaseError:
        return True


def check_certificate(settings: AgentSettings) -> None:
    """Refuse a link certificate of somebody else, or of another centre.

    Raises:
        SecureFlowError: `certificate_foreign`; those of `CredentialFiles`.
    """
    files = CredentialFiles(settings.directory, settings.key_files)
    files.check()
    identity = SpiffeId.parse(spiffe_id(files().leaf))
    if (identity.role, identity.organisation) != ("agent", settings.organisation):
        raise SecureFlowError(
            "certificate_foreign",
            Text(
                "The certificate in {path} is for {identity}, but agent.yaml names {organisation}.",
                path=settings.link_certificate,
                identity=identity,
                organisation=settings.organisation,
            ),
            _FILES_BACK,
        )


def check_key(settings: AgentSettings, public: str, charter: JSON, newest: JSON) -> None:
    """Refuse a signing key that this agent has not used and that its charter does not name.

    Args:
        settings: the agent's.
        public: the base64 key.
        charter: the record's fact `charter`, if it has one.
        newest: the newest own leaf with its signature, if there is one.

    Raises:
        SecureFlowError: `key_foreign`.
    """
    check_no_others_key(settings, public, charter)
    known = {one for one in (_named(charter).get(settings.organisation), _key_of(newest)) if one}
    if known and public not in known:
        raise _foreign(
            Text(
                "The signing key {path} is not the one that the pinned charter names for "
                "{organisation}, and did not sign the newest own entry.",
                path=settings.signing_key,
                organisation=settings.organisation,
            ),
        )


def check_no_others_key(settings: AgentSettings, public: str, charter: JSON) -> None:
    """Refuse the key of another member of the pinned charter.

    Raises:
        SecureFlowError: `key_foreign`.
    """
    for member, key in _named(charter).items():
        if key == public and member != settings.organisation:
            raise _foreign(
                Text(
                    "The signing key {path} is that of {member}, by the pinned charter.",
                    path=settings.signing_key,
                    member=member,
                ),
            )


def check_at_start(settings: AgentSettings, key: SigningKey, store: RecordStore) -> None:
    """Refuse what is certainly another agent's; report a key that may be a new one.

    Raises:
        SecureFlowError: `key_foreign`, `certificate_foreign`; those of `CredentialFiles`.
    """
    check_certificate(settings)
    charter, last = store.fact("charter"), store.last_leaf("")
    check_no_others_key(settings, key.public, charter)
    newest = store.leaf(last).bundle.get("leaf") if last else None
    try:
        check_key(settings, key.public, charter, newest)
    except SecureFlowError as error:
        _log.warning("key_foreign", message=error.message, hint=error.hint)


def _named(charter: JSON) -> dict[str, str]:
    """Return member → key; nothing where the charter cannot be read, which has its own check."""
    if charter is not None:
        with suppress(SecureFlowError):
            return dict(SignedCharter.from_json(charter).charter.keys)
    return {}


def _key_of(leaf: JSON) -> str:
    key = leaf.get("key") if isinstance(leaf, dict) else None
    return key if isinstance(key, str) else ""


def _foreign(message: str) -> SecureFlowError:
    return SecureFlowError("key_foreign", message, KEY_BACK)
