"""`agent enroll`: makes keys, and exchanges a one-time token and a CSR for a link certificate.

It writes `signing.key` (the organisation's Ed25519 key), `link.pem` (link key and certificate),
`ca.pem` and `agent.yaml`. Keys are 0600 and never overwritten; an existing signing key is kept,
because the charter names it. The log's origin and key in the centre's answer are *not* written: an
agent trusts a log only after a charter was pinned.
"""

from __future__ import annotations

from pathlib import Path

from secureflow.adapters.keyvault import (
    KeySettings,
    given_keys,
    key_files,
    make_key_file,
    name_key_file,
)
from secureflow.adapters.link import CredentialFiles
from secureflow.agent.edge.ownidentity import KEY_BACK
from secureflow.agent.settings import ENVIRONMENT
from secureflow.kit.atomic import write_atomically
from secureflow.kit.canonical import JSON
from secureflow.kit.commandline import examples
from secureflow.kit.crypto import SigningKey, fingerprint
from secureflow.kit.enrolclient import (
    IssuedIdentity,
    check_issued,
    fetch_authority,
    request_certificate,
)
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import check_folder, claim_folder
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.pki import make_csr, new_link_key
from secureflow.kit.settings import settings_text
from secureflow.kit.text import Text

_HEAD = (
    "# Written by `secureflow agent enroll`. Every setting is explained in\n"
    f"# {examples() / 'agent.example.yaml'}\n"
)
_TAIL = """\

# Declare data here, then: secureflow agent data publish NAME
datasets: []

consent:
  policies: []        # Cedar files; without one every job waits in `secureflow agent inbox`
"""


def enrol(
    directory: Path, token: str, server: str, name: str, wrapping_key: Path | None = None
) -> dict[str, JSON]:
    """Enrol an agent into a directory.

    Args:
        directory: made with mode 0700 if missing.
        token: text of the one-time token.
        server: URL of the centre's REST API.
        name: this agent's name in its certificate.
        wrapping_key: file outside of the directory that wraps the keys; made if it is missing. By
            default agent.yaml or the environment says what wraps them, or nothing does.

    Returns:
        `organisation`, `spiffe`, `link`, `config`, and the signing `key` with its `fingerprint`.

    Raises:
        KeyVaultError: the wrapping key is inside, or cannot be had.
        SecureFlowError: `token_malformed`, `token_other_kind`, `already_enrolled`,
            `insecure_url`, `server_unreachable`, `ca_mismatch`, `certificate_foreign`,
            `invalid_answer`, `invalid_address`, `data_newer`, `data_version_malformed`, or the
            centre's refusal.
    """
    parsed, config = _agent_token(token), directory / "agent.yaml"
    files = _key_files(directory, parsed.organisation, wrapping_key)
    _refuse_enrolled(directory, files)
    authority = fetch_authority(server, parsed.ca_fingerprint)
    check_folder(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = directory / "signing.key"
    fresh = not kept.exists()
    key, link_key = _signing_key(kept, files), new_link_key()
    csr = make_csr(link_key)
    request = {
        "token": parsed.encode(),
        "csr": csr,
        "name": name,
        "key": key.public,
        "signature": key.sign("enrol", proof_body(parsed.id, csr, key.public)),
    }
    try:
        answer = request_certificate(server, authority, request)
    except SecureFlowError as error:
        # A refused key is unused. After any other failure the centre may know it.
        if fresh and error.details.get("status", 500) < 500:
            kept.unlink()
        raise
    given = check_issued(answer, authority, ("agent", parsed.organisation, name))
    CredentialFiles.judge(authority, link_key, given.certificate)
    claim_folder(directory)
    _write_settings(config, given, server, wrapping_key)
    CredentialFiles.create(directory, authority, link_key, given.certificate, files)  # must be last
    return {
        "organisation": parsed.organisation,
        "spiffe": str(given.identity),
        "link": given.link,
        "config": str(config),
        "key": key.public,
        "fingerprint": fingerprint(key.public),
    }


def _write_settings(
    config: Path, given: IssuedIdentity, server: str, wrapping_key: Path | None
) -> None:
    """Write agent.yaml, unless it exists."""
    values = {
        "directory": ".",
        "organisation": given.identity.organisation,
        "name": given.identity.name,
        "server": server,
        "link": given.link,
        "trust_domain": given.identity.trust_domain,
    }
    if not config.exists():
        text = settings_text(values, _HEAD) + _TAIL
        write_atomically(config, text.encode(), 0o666)
    if wrapping_key is not None:
        name_key_file(config, wrapping_key)


def _key_files(directory: Path, organisation: str, wrapping_key: Path | None) -> KeyFiles:
    if wrapping_key is not None:
        make_key_file(wrapping_key, [directory])
    config = directory / "agent.yaml"
    settings = given_keys(KeySettings, ENVIRONMENT, config, wrapping_key)
    files = key_files(settings, organisation, [directory])
    _ = files.vault  # it can be had: the token is used up afterwards
    return files


def _agent_token(token: str) -> EnrolmentToken:
    parsed = EnrolmentToken.parse(token)
    if parsed.kind != "agent":
        raise SecureFlowError(
            "token_other_kind",
            "The token is for an enclave, not for an agent.",
            "Ask the operator for a token for your organisation.",
        )
    return parsed


def _refuse_enrolled(directory: Path, files: KeyFiles) -> None:
    if CredentialFiles(directory).complete:
        kept = _can_be_read(directory / "signing.key", files)
        raise SecureFlowError(
            "already_enrolled",
            Text("{directory} already holds an enrolled agent.", directory=directory),
            "Its certificate is renewed automatically. To enrol again, move link.pem and "
            "ca.pem away; keep signing.key."
            if kept
            else KEY_BACK,
        )


def _can_be_read(path: Path, files: KeyFiles) -> bool:
    try:
        SigningKey.load(path, files)
    except OSError:
        return False
    except SecureFlowError as error:
        return error.code == "key_exposed" or isinstance(error, KeyVaultError)
    return True


def _signing_key(path: Path, files: KeyFiles) -> SigningKey:
    """Return the organisation's key; it is made once."""
    if path.exists():
        return SigningKey.load(path, files)
    key = SigningKey.generate()
    key.save(path, files)
    return key
