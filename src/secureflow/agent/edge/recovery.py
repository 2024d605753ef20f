"""How an agent with an expired link certificate reconnects: with the signing key it enrolled."""

from __future__ import annotations

import time
from typing import Final

from secureflow.adapters.link import CertificateRecovery, CredentialFiles, RenewalMethod
from secureflow.agent.settings import AgentSettings
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.renewal import DOMAIN

NEXT_STEP: Final = (
    "A running agent (secureflow agent start) renews it by itself with signing.key, over "
    "`server` in agent.yaml; secureflow agent doctor compares the clocks and shows what prevents "
    "it."
)


def certificate_recovery(
    settings: AgentSettings,
    credentials: CredentialFiles,
    key: SigningKey,
    clock: Clock,
    ticks: Ticks = time.monotonic,
) -> CertificateRecovery:
    """Return the recovery of an agent's failed link."""
    method = RenewalMethod(settings.server, lambda body: key.sign(DOMAIN, body), NEXT_STEP)
    return CertificateRecovery(method, credentials, clock, ticks)
