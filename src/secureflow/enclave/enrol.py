"""Enrolment of an enclave: a one-time token and a CSR against a link certificate.

The token carries the fingerprint of the link's authority. So the first request may go to anybody:
what answers must show exactly that authority, and everything after is verified under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.kit.clock import Clock, system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.joining import fetch_authority, join
from secureflow.kit.pki import make_csr, new_link_key

JSON = Any


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
    ca = fetch_authority(server, parsed.ca_fingerprint)
    key, proof = new_link_key(), SigningKey.generate()
    csr = make_csr(key)
    request = {
        "token": parsed.encode(),
        "csr": csr,
        "name": name,
        "key": proof.public,
        "signature": proof.sign("enrol", proof_body(parsed.id, csr, proof.public)),
    }
    answer = _checked(join(server, ca, request), server)
    CredentialFiles.create(directory, ca, key, answer["certificate"])
    if simulated:
        SimulatedPlatform.create(directory / "simulated", clock())
    config = directory / "enclave.yaml"
    config.write_text(_configuration(answer["link"], simulated=simulated))
    return Enrolled(answer["spiffe"], answer["link"], config)


def _configuration(link: str, *, simulated: bool) -> str:
    platform = "simulated: simulated\n" if simulated else ""
    return f"directory: .\nserver: {link}\n{platform}uplink:\n  bind: 127.0.0.1\n  port: 0\n"


def _checked(answer: dict[str, JSON], server: str) -> dict[str, str]:
    wanted = ("certificate", "spiffe", "link")
    if not all(isinstance(answer.get(field), str) for field in wanted):
        raise SecureFlowError("server_unreachable", f"{server} gives no enrolment.")
    return {field: answer[field] for field in wanted}
