"""The verifier of evidence that an owner's settings ask for."""

from __future__ import annotations

from functools import partial

from secureflow.adapters.tee.verifiers import TeeVerifier
from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text


def verifier(settings: AgentSettings) -> TeeVerifier:
    """Return the verifier of evidence; a simulated root needs the owner's explicit permission.

    Raises:
        SecureFlowError: `simulated_root_refused`.
    """
    attestation = settings.attestation
    floors = {str(product): floor.tcb for product, floor in attestation.snp_minimum_tcb.items()}
    make = partial(TeeVerifier, minimum_tcb=floors, without_crl=attestation.snp_without_crl)
    if not attestation.allow_simulated or not attestation.roots:
        return make()
    path = attestation.roots[0]
    try:
        root = path.read_text()
    except (OSError, UnicodeError) as error:
        raise SecureFlowError(
            "simulated_root_refused",
            Text(
                "The simulated root {path} cannot be read: {reason}.",
                path=path,
                reason=reason_of(error),
            ),
            "Correct `attestation.roots` in agent.yaml.",
        ) from error
    return make(root)
