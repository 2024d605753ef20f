"""Enrolment of an enclave: a one-time token and a CSR against a link certificate.

The token carries the fingerprint of the link's authority. So the first request may go to anybody:
what answers must show exactly that authority, and everything after is verified under it. Standard
library only, since the enclave measures what it imports.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.clock import Clock, system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key, pin_authority

JSON = Any
TIMEOUT: Final = 30.0
MAX_ANSWER: Final = 1 << 20
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class Enrolled:
    """What an enclave was given: its SPIFFE id and the centre's link address."""

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
) -> Enrolled:
    """Enrol and write `link.pem`, `ca.pem` and `enclave.yaml` into a directory.

    Args:
        directory: made if missing; must not hold an enrolled enclave.
        token: text of the one-time token.
        server: URL of the centre's REST API.
        name: the enclave's name in its SPIFFE id.
        simulated: also make a SIMULATED platform in `directory/simulated`.
        clock: unix seconds.

    Raises:
        SecureFlowError: `token_malformed`, `token_other_kind`, `server_unreachable`,
            `ca_mismatch`, `insecure_url`, `already_enrolled`, or the centre's refusal.
    """
    parsed = EnrolmentToken.parse(token)
    if parsed.kind != "enclave":
        raise SecureFlowError("token_other_kind", "The token invites an agent, not an enclave.")
    if (directory / "link.pem").exists():
        raise SecureFlowError(
            "already_enrolled", f"{directory} holds an enrolled enclave.", "Choose another one."
        )
    url = _checked(server)
    ca = pin_authority(_fetch_authority(url), parsed.ca_fingerprint)
    key, proof = new_link_key(), SigningKey.generate()
    csr = make_csr(key)
    request = {
        "token": parsed.encode(),
        "csr": csr,
        "name": name,
        "key": proof.public,
        "signature": proof.sign("enrol", proof_body(parsed.id, csr, proof.public)),
    }
    answer = _enroll(url, ca, request)
    CredentialFiles.create(directory, ca, key, answer["certificate"])
    if simulated:
        SimulatedPlatform.create(directory / "simulated", clock())
    config = directory / "enclave.yaml"
    config.write_text(_configuration(answer["link"], simulated=simulated))
    return Enrolled(answer["spiffe"], answer["link"], config)


def _configuration(link: str, *, simulated: bool) -> str:
    platform = "simulated: simulated\n" if simulated else ""
    return f"directory: .\nserver: {link}\n{platform}uplink:\n  bind: 127.0.0.1\n  port: 0\n"


def _enroll(url: SplitResult, ca: str, request: dict[str, JSON]) -> dict[str, str]:
    """Send the token, only to who shows a certificate of the pinned authority."""
    context = ssl.create_default_context(cadata=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    status, data = _exchange(url, "POST", "/api/v1/enroll", canonical_bytes(request), context)
    answer = parse_json(data, MAX_ANSWER)
    if not isinstance(answer, dict):
        raise SecureFlowError("server_unreachable", f"{url.netloc} gives no enrolment.")
    if status not in {200, 201}:
        raise SecureFlowError(
            str(answer.get("code", "enrolment_refused")),
            str(answer.get("detail", "The centre refused the enrolment.")),
            str(answer.get("hint", "Ask the operator for a new token.")),
        )
    wanted = ("certificate", "spiffe", "link")
    if not all(isinstance(answer.get(field), str) for field in wanted):
        raise SecureFlowError("server_unreachable", f"{url.netloc} gives no enrolment.")
    return {field: answer[field] for field in wanted}


def _fetch_authority(url: SplitResult) -> str:
    """Fetch the authority's certificate; its fingerprint decides whether it is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    status, data = _exchange(url, "GET", "/api/v1/ca", b"", context)
    if status != 200:
        raise SecureFlowError("server_unreachable", f"{url.netloc} shows no authority ({status}).")
    return data.decode("ascii", "replace")


def _exchange(
    url: SplitResult, method: str, path: str, body: bytes, context: ssl.SSLContext
) -> tuple[int, bytes]:
    host, port = str(url.hostname), url.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        if url.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    )
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise SecureFlowError(
            "server_unreachable",
            f"{url.netloc} cannot be reached: {error}.",
            "Check the URL, and whether the server runs and its certificate is of its own CA.",
        ) from error
    finally:
        connection.close()


def _checked(server: str) -> SplitResult:
    """Refuse a URL over which the token would travel in clear."""
    url = urlsplit(server)
    secure = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
    if not secure or not url.hostname:
        raise SecureFlowError(
            "insecure_url",
            f"{server} is no https URL.",
            "The token is a secret: use https (http only on the same machine).",
        )
    return url
