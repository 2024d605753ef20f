"""An agent whose certificate ran out renews it by itself, with the signing key that it enrolled.

When a link fails, the server's time says why: the server judges certificates by its own clock. A
certificate that does not hold there is renewed over the REST address; one that does hold is left
alone, whatever this machine's clock says.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from secureflow.adapters.link import CredentialFiles
from secureflow.agent.settings import AgentSettings
from secureflow.kit.clock import Clock, Ticks, naming_clocks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import parse_certificate, spiffe_id
from secureflow.kit.renewal import DOMAIN, renewed, server_time

AGAIN: Final = 60.0
"""Seconds between two looks at the server's time while the own clock finds no fault."""
NEXT_STEP: Final = (
    "A running agent (secureflow agent start) renews it by itself with signing.key, over `server` "
    "in agent.yaml; secureflow agent doctor compares the clocks and names what is in the way."
)
_MEANT: Final = frozenset({"link_broken", "certificate_not_valid_now"})

_log = get_logger(__name__)


class Revival:
    """Looks at why a link failed, and renews a certificate that does not hold.

    Args:
        settings: the agent's.
        credentials: its certificate.
        key: what it enrolled.
        clock: unix seconds.
        ticks: monotonic seconds.
    """

    def __init__(
        self,
        settings: AgentSettings,
        credentials: CredentialFiles,
        key: SigningKey,
        clock: Clock,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._key = key
        self._clock = clock
        self._ticks = ticks
        self._looked = ticks()

    async def __call__(self, error: SecureFlowError) -> SecureFlowError | None:
        """Return what is wrong with the link; None: the certificate is a new one, dial again."""
        if error.code not in _MEANT:
            return error
        if self._holds(self._clock()):
            if self._ticks() - self._looked < AGAIN:
                return error
            self._looked = self._ticks()
        return await asyncio.to_thread(self._explain, error)

    def _holds(self, at: int) -> bool:
        start, end = self._credentials().span
        return start <= at <= end

    def _explain(self, error: SecureFlowError) -> SecureFlowError | None:
        authority = self._settings.authority.read_text("ascii")
        now = self._clock()
        theirs = server_time(self._settings.server, authority)
        if theirs is None:
            return error if self._holds(now) else expired(self._credentials, now)
        if self._holds(theirs):
            ahead = now - theirs
            wrong = expired(self._credentials, now)
            return error if self._holds(now) else naming_clocks(wrong, "this machine", ahead)
        try:
            self._renew(authority)
        except SecureFlowError as refusal:
            _log.warning("certificate_not_renewed", code=refusal.code, message=refusal.message)
            return refusal
        _log.info("certificate_renewed", by="signing key")
        return None

    def _renew(self, authority: str) -> None:
        leaf = parse_certificate(self._credentials().certificate.decode("ascii"))
        csr = self._credentials.request()

        def sign(body: object) -> str:
            return self._key.sign(DOMAIN, body)

        server = self._settings.server
        self._credentials.install(renewed(server, authority, spiffe_id(leaf), csr, sign))


def expired(credentials: CredentialFiles, now: int) -> SecureFlowError:
    """Return the error of a certificate that does not hold now, with the next step."""
    leaf = parse_certificate(credentials().certificate.decode("ascii"))
    until = leaf.not_valid_after_utc
    if now > until.timestamp():
        message = f"The link certificate ran out on {until:%Y-%m-%d %H:%M} UTC."
    else:
        since = leaf.not_valid_before_utc
        message = f"The link certificate holds from {since:%Y-%m-%d %H:%M} UTC only."
    return SecureFlowError("certificate_not_valid_now", message, NEXT_STEP)
