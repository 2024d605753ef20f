"""`server init`: everything a new centre needs, made once, secrets in files of mode 0600."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml

from secureflow.application.deeds import Deeds
from secureflow.application.organisations import Centre, Organisations
from secureflow.application.passwords import Passwords
from secureflow.application.users import Users
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, ca_fingerprint, write_private
from secureflow.server.centre import open_ledger
from secureflow.server.settings import ServerSettings

ADMIN = "admin"


def initialise(
    directory: Path,
    *,
    trust_domain: str,
    host: str = "127.0.0.1",
    rest_port: int = 8443,
    link_port: int = 8444,
) -> dict[str, str]:
    """Make a centre's directory; return where things are (paths and fingerprints, no secret).

    Args:
        directory: new or empty.
        trust_domain: SPIFFE trust domain of the consortium; it also names the log.
        host: the name or address by which people and agents reach the machine.
        rest_port: REST's port; 0 picks a free one at each start.
        link_port: the link's port; 0 likewise.

    Raises:
        SecureFlowError: `already_initialised`, `spiffe_malformed`.
    """
    config = directory / "server.yaml"
    if config.exists():
        raise SecureFlowError(
            "already_initialised",
            f"{directory} already holds a centre.",
            "Start it, or choose another directory: new keys would cut every party off.",
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority.create(directory / "ca", trust_domain, system_clock())
    SigningKey.generate().save(directory / "log.key")
    settings = _settings(f"{trust_domain}/log", host, rest_port, link_port)
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    made = asyncio.run(_populate(ServerSettings.load(config), authority))
    for name, text in made.items():
        write_private(directory / name, f"{text}\n".encode())
    return {
        "config": str(config),
        "admin": ADMIN,
        "admin_password_file": str(directory / "admin.password"),
        "enclave_token_file": str(directory / "enclave.token"),
        "ca": str(directory / "ca" / "ca.pem"),
        "ca_fingerprint": ca_fingerprint(authority.pem),
        "log_origin": f"{trust_domain}/log",
        "log_key": SigningKey.load(directory / "log.key").public,
    }


def _settings(origin: str, host: str, rest_port: int, link_port: int) -> dict[str, Any]:
    bind = "127.0.0.1" if _is_loopback(host) else "0.0.0.0"  # noqa: S104  people dial `host`
    return {
        "directory": ".",
        "host": host,
        "origin": origin,
        "rest": {"bind": bind, "port": rest_port},
        "link": {"bind": bind, "port": link_port},
    }


async def _populate(settings: ServerSettings, authority: Authority) -> dict[str, str]:
    """Make the first admin and the enclave's token; return file name → secret."""
    clock, key = system_clock, SigningKey.load(settings.log_key)
    password = secrets.token_urlsafe(18)
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, key, stack)
        quotas = settings.quotas
        deeds = Deeds(database.begin, ledger, key, clock)
        await Users(database.begin, deeds, Passwords(), clock, quotas).create_first(ADMIN, password)
        centre = Centre("", ledger.origin, ledger.public)
        organisations = Organisations(database.begin, deeds, authority, centre, clock, quotas)
        _, token = await organisations.make_token("enclave", "", "init")
    return {"admin.password": password, "enclave.token": token}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
