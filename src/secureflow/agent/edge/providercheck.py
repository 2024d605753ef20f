"""The doctor's check of the identity providers at which people of this agent log in."""

from __future__ import annotations

import asyncio

from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.edge.providercommands import reached
from secureflow.kit.text import Text


def check_providers(so_far: Diagnosis) -> str:
    """Ask each configured provider whether it answers as configured.

    Raises:
        SecureFlowError: `provider_unreachable`, `provider_untrusted`, `invalid_settings`,
            `key_exposed`, of the first that does not.
    """
    known = so_far.known.identity.oidc
    if not known:
        return "none is configured"
    for one in known:
        asyncio.run(reached(one, so_far.clock).check())
    return Text("{names} answer as configured", names=", ".join(one.name for one in known))
