"""`server init`: create everything a new centre needs, once, with secrets in files of mode 0600."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml

from secureflow.adapters.database.emptiness import refuse_password, require_empty
from secureflow.adapters.keyvault import make_key_file
from secureflow.application.issuing import Issuing
from secureflow.application.organisations import CentreDescription, Organisations
from secureflow.application.passwords import Passwords
from secureflow.application.transactions import Transactions
from secureflow.application.users import Users
from secureflow.kit.atomic import write_atomically
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import claim_folder
from secureflow.kit.keyfiles import ENROLMENT, FIRST_LOGIN, LOG, KeyFiles
from secureflow.kit.pki import Authority, ca_fingerprint
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.text import Text
from secureflow.server.centre import open_ledger
from secureflow.server.keyfiles import ADMIN_FILE, ENCLAVE_FILE
from secureflow.server.settings import ServerSettings

ADMIN = "admin"
_DRAFT = "init.yaml"
"""The settings until everything is made; renamed to `server.yaml` at the end."""


def initialise(
    directory: Path,
    *,
    trust_domain: str,
    host: str = "127.0.0.1",
    rest_port: int = 8443,
    link_port: int = 8444,
    database: str = "",
    wrapping_key: Path | None = None,
    authority: Authority | None = None,
) -> dict[str, str]:
    """Create a centre's directory; return paths and fingerprints, no secrets.

    An interrupted attempt (a kill, a database failure) is finished by the next one on the same
    directory: what it made is kept, since its log may be in the database already.

    Args:
        directory: new or empty, or as an earlier attempt left it.
        trust_domain: SPIFFE trust domain of the consortium; it also names the log.
        host: the name or address by which clients and agents reach the machine.
        rest_port: REST's port; 0 picks a free one at each start.
        link_port: likewise, the link's.
        database: URL of an empty database, without a password; default: SQLite in the directory.
        wrapping_key: file outside of the directory that wraps the keys; made if it is missing.
        authority: one that the organisation brings (`kit.ownca`); a new one by default.

    Raises:
        SecureFlowError: `already_initialised`, `spiffe_malformed`, `database_in_use`,
            `database_unavailable`, `invalid_database_url`.
    """
    config, draft = directory / "server.yaml", directory / _DRAFT
    if config.exists() or (not draft.exists() and _any_key(directory)):
        raise SecureFlowError(
            "already_initialised",
            Text("{directory} already holds a centre.", directory=directory),
            "Start it, or choose another directory: new keys would cut every party off.",
        )
    SpiffeId(trust_domain, "server")  # refuses a malformed trust domain
    if database:
        refuse_password(database)
    settings = _settings(f"{trust_domain}/log", host, rest_port, link_port, database)
    wrapping = _wrapping(wrapping_key, directory, settings)
    ca, key = _begin(directory, draft, settings, trust_domain, authority)
    draft.rename(config)
    made = {"database": database} if database else {}
    return {
        "config": str(config),
        "admin": ADMIN,
        "admin_password_file": str(directory / ADMIN_FILE),
        "enclave_token_file": str(directory / ENCLAVE_FILE),
        "ca": str(directory / "ca" / "ca.pem"),
        "ca_fingerprint": ca_fingerprint(ca.pem),
        "log_origin": f"{trust_domain}/log",
        "log_key": key.public,
        **wrapping,
        **made,
    }


def _wrapping(
    wrapping_key: Path | None, directory: Path, settings: dict[str, Any]
) -> dict[str, str]:
    """Make the wrapping key, if one is asked for, and name it in the settings."""
    if wrapping_key is None:
        return {}
    make_key_file(wrapping_key, [directory])
    place = str(wrapping_key.absolute())
    settings["keys"] = {"file": place}
    return {"wrapping_key": place}


def _begin(
    directory: Path,
    draft: Path,
    settings: dict[str, Any],
    trust_domain: str,
    given: Authority | None,
) -> tuple[Authority, SigningKey]:
    """Make everything from the draft settings; an early refusal leaves no trace."""
    new = not directory.exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(draft, yaml.safe_dump(settings, sort_keys=False).encode(), 0o666)
    try:
        return asyncio.run(_make(directory, trust_domain, given))
    except SecureFlowError:
        if not _any_key(directory):
            draft.unlink()
            with contextlib.suppress(OSError):
                if new:
                    directory.rmdir()
        raise


async def _make(
    directory: Path, trust_domain: str, given: Authority | None
) -> tuple[Authority, SigningKey]:
    """Make the missing parts, each atomically, the database's part last."""
    settings = ServerSettings.load(directory / _DRAFT)
    begun = None
    if settings.log_key.exists():
        begun = (settings.origin, SigningKey.load(settings.log_key, settings.key_files, LOG).public)
    await require_empty(settings.database_url, begun)
    authority = _authority(directory / "ca", trust_domain, settings.key_files, given)
    key = _log_key(settings.log_key, settings.key_files)
    claim_folder(directory)
    try:
        await _populate(settings, authority, key, directory)
    except SecureFlowError as error:
        if error.code == "fenced":  # someone else started there at the same time
            await require_empty(settings.database_url, (settings.origin, key.public))
        raise
    return authority, key


def _any_key(directory: Path) -> bool:
    return (directory / "log.key").exists() or (directory / "ca").exists()


def _authority(
    directory: Path, trust_domain: str, files: KeyFiles, given: Authority | None
) -> Authority:
    def make(partial: Path) -> None:
        if given is not None:
            given.store(partial, files)
        else:
            Authority.create(partial, trust_domain, system_clock(), files)

    _once(directory, make)
    authority = Authority.load(directory, files)
    other = given is not None and given.chain != authority.chain  # an earlier attempt made it
    if other or authority.trust_domain != trust_domain:
        raise SecureFlowError(
            "already_initialised",
            Text(
                "{parent} holds the unfinished centre of {trust_domain}.",
                parent=directory.parent,
                trust_domain=authority.trust_domain,
            ),
            "Finish it with that trust domain, or choose another directory.",
        )
    return authority


def _log_key(path: Path, files: KeyFiles) -> SigningKey:
    _once(path, lambda partial: SigningKey.generate().save(partial, files, LOG))
    return SigningKey.load(path, files, LOG)


def _secret(path: Path, text: str, files: KeyFiles, purpose: str) -> str:
    """Write a secret unless an earlier attempt did; return the stored one."""
    _once(path, lambda partial: files.write_new(partial, f"{text}\n".encode(), purpose))
    return files.read(path, purpose).decode().strip()


def _once(path: Path, make: Callable[[Path], object]) -> None:
    """Make a file or directory if it is missing, completely or not at all."""
    if path.exists():
        return
    partial = path.with_name(f"{path.name}.partial")
    if partial.is_dir():
        shutil.rmtree(partial)
    partial.unlink(missing_ok=True)
    make(partial)
    partial.rename(path)


def _settings(
    origin: str, host: str, rest_port: int, link_port: int, database: str
) -> dict[str, Any]:
    bind = "127.0.0.1" if _is_loopback(host) else "0.0.0.0"  # noqa: S104  clients dial `host`
    settings: dict[str, Any] = {
        "directory": ".",
        "host": host,
        "origin": origin,
        "rest": {"bind": bind, "port": rest_port},
        "link": {"bind": bind, "port": link_port},
    }
    return {**settings, "database": {"url": database}} if database else settings


async def _populate(
    settings: ServerSettings, authority: Authority, key: SigningKey, directory: Path
) -> None:
    """Make the log, the first admin and the enclave's token if they are missing."""
    clock, files = system_clock, settings.key_files
    # Written before the account is made: after a kill its password is known.
    known = (directory / ADMIN_FILE).exists()
    password = _secret(directory / ADMIN_FILE, secrets.token_urlsafe(18), files, FIRST_LOGIN)
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, key, stack, new=True)
        quotas = settings.quotas
        transactions = Transactions(database.begin, ledger, key, clock)
        users = Users(
            database.begin, transactions, Passwords(settings.people.password_length), clock, quotas
        )
        try:
            await users.create_first(ADMIN, password)
        except SecureFlowError as error:
            if error.code != "already_exists" or not known:
                raise
        if not (directory / ENCLAVE_FILE).exists():
            centre = CentreDescription("", ledger)
            issuing = Issuing(authority, ledger, key, clock)
            organisations = Organisations(
                database.begin, transactions, issuing, centre, clock, quotas
            )
            _, token = await organisations.make_token("enclave", "", "init")
            _secret(directory / ENCLAVE_FILE, token, files, ENROLMENT)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
