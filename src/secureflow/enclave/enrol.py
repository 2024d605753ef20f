"""Enrolment of an enclave: a one-time token and a CSR in exchange for a link certificate.

`identity.key` proves on the link that this is the enrolled enclave, and renews an expired
certificate. It attests nothing: agents trust only evidence, and keys that never leave memory.

The token carries the fingerprint of the link's authority. So the first request may go to anyone:
the response must present exactly that authority, and everything after is verified under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.keyvault import (
    LocalKeySettings,
    given_keys,
    key_files,
    make_key_file,
    name_key_file,
)
from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.enclave.identity import IDENTITY
from secureflow.enclave.settings import ENVIRONMENT, OWNER, no_attester
from secureflow.kit.atomic import write_atomically
from secureflow.kit.clock import Clock, system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolclient import check_issued, fetch_authority, request_certificate
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import check_folder, claim_folder
from secureflow.kit.keyfiles import IDENTITY as PURPOSE
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.pki import make_csr, new_link_key
from secureflow.kit.settings import settings_text
from secureflow.kit.text import Text


@dataclass(frozen=True)
class EnrolledEnclave:
    """The result of an enrolment: the enclave's SPIFFE id and the centre's link address."""

    spiffe: str
    link: str
    config: Path


def enrol(
    directory: Path,
    token: str,
    server: str,
    *,
    name: str = "main",
    simulated: bool = False,
    clock: Clock = system_clock,
    wrapping_key: Path | None = None,
) -> EnrolledEnclave:
    """Enrol and write `link.pem`, `ca.pem` and `enclave.yaml` into a directory.

    Args:
        directory: created if missing; must not hold an enrolled enclave.
        token: text of the one-time token.
        server: URL of the centre's REST API.
        name: the enclave's name in its SPIFFE id.
        simulated: make a SIMULATED platform in `directory/simulated`; nothing else can attest yet.
        clock: unix seconds.
        wrapping_key: file outside of the directory that wraps the keys; made if it is missing.

    Raises:
        KeyVaultError: the wrapping key is inside, or cannot be had.
        SecureFlowError: `no_tee` without `simulated` (the token is not used then),
            `token_malformed`, `token_other_kind`, `server_unreachable`, `ca_mismatch`,
            `insecure_url`, `already_enrolled`, `certificate_foreign`, `invalid_answer`,
            `invalid_address`, `data_newer`, `data_version_malformed`, or the centre's refusal.
    """
    if not simulated:
        raise no_attester()
    parsed = EnrolmentToken.parse(token)
    if parsed.kind != "enclave":
        raise SecureFlowError("token_other_kind", "The token is for an agent, not for an enclave.")
    if CredentialFiles(directory).complete or (directory / IDENTITY).exists():
        raise SecureFlowError(
            "already_enrolled",
            Text("{directory} already holds an enrolled enclave.", directory=directory),
            "Choose another one.",
        )
    check_folder(directory)
    files = _key_files(directory, wrapping_key)
    ca = fetch_authority(server, parsed.ca_fingerprint)
    key, identity = new_link_key(), SigningKey.generate()
    csr = make_csr(key)
    request = {
        "token": parsed.encode(),
        "csr": csr,
        "name": name,
        "key": identity.public,
        "signature": identity.sign("enrol", proof_body(parsed.id, csr, identity.public)),
    }
    given = check_issued(request_certificate(server, ca, request), ca, ("enclave", "", name))
    CredentialFiles.judge(ca, key, given.certificate)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    claim_folder(directory)
    identity.save(directory / IDENTITY, files, PURPOSE)
    SimulatedPlatform.create(directory / "simulated", clock())
    config = _write_settings(directory, {"server": given.link, "rest": server}, wrapping_key)
    CredentialFiles.create(directory, ca, key, given.certificate, files)  # last: it is enrolled
    return EnrolledEnclave(str(given.identity), given.link, config)


def _key_files(directory: Path, wrapping_key: Path | None) -> KeyFiles:
    """Return what wraps the keys, once it can be had: the token is used up afterwards."""
    if wrapping_key is not None:
        make_key_file(wrapping_key, [directory])
    config = directory / "enclave.yaml"
    wrapping = given_keys(LocalKeySettings, ENVIRONMENT, config, wrapping_key)
    files = key_files(wrapping, OWNER, [directory])
    _ = files.vault
    return files


def _write_settings(directory: Path, given: dict[str, Any], wrapping_key: Path | None) -> Path:
    """Write enclave.yaml, unless it exists; name the wrapping key's file in it."""
    config = directory / "enclave.yaml"
    if not config.exists():
        write_atomically(config, settings_text(_SETTINGS | given).encode(), 0o666)
    if wrapping_key is not None:
        name_key_file(config, wrapping_key)
    return config


_SETTINGS: Final[dict[str, Any]] = {
    "directory": ".",
    "server": "",
    "rest": "",
    "simulated": "simulated",
    "uplink": {"bind": "127.0.0.1", "port": 0},
}
