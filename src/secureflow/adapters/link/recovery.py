"""A party whose certificate has expired renews it by itself, with the key that it enrolled.

When a link fails, the server's time explains why: the server checks certificates by its own clock.
A certificate that is not valid there is renewed over the REST address; a valid one is left alone,
whatever this machine's clock says. If the two clocks differ much, that is reported: from here it
looks like a link that breaks without a reason. So do files that do not match each other, which are
reported as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from secureflow.adapters.link.credentials import CredentialFiles
from secureflow.kit.clock import Clock, Ticks, differ, difference, naming_clocks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import spiffe_id
from secureflow.kit.renewal import renewed, server_time
from secureflow.kit.text import Text

AGAIN: Final = 5.0
"""Seconds between two checks of the server's time while our clock shows no fault. Shorter than the
longest pause between two attempts: a server that started with another clock waits for its parties
no longer than their jobs' patience, and a check while it was down had no result."""
WHOSE: Final = "this machine"
_MEANT: Final = frozenset({"link_broken", "certificate_not_valid_now"})

_log = get_logger(__name__)


@dataclass(frozen=True)
class RenewalMethod:
    """Where and with which key a certificate is renewed.

    Args:
        server: URL of the centre; empty if unknown.
        sign: signs with the key that was enrolled (kind `renew`); None if there is none.
        next_step: what people can do about an expired certificate.
    """

    server: str
    sign: Callable[[Any], str] | None
    next_step: str


class CertificateRecovery:
    """Examines why a link failed, and renews a certificate that is not valid.

    Args:
        method: where and how.
        credentials: the certificate.
        clock: unix seconds.
        ticks: monotonic seconds.
    """

    def __init__(
        self,
        method: RenewalMethod,
        credentials: CredentialFiles,
        clock: Clock,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._method = method
        self._credentials = credentials
        self._clock = clock
        self._ticks = ticks
        self._looked = ticks()

    async def __call__(self, error: SecureFlowError) -> SecureFlowError | None:
        """Return what is wrong with the link; None if the certificate was renewed: redial."""
        if error.code not in _MEANT:
            return error
        if self._holds(self._clock()) and error.code == "link_broken":
            if self._ticks() - self._looked < AGAIN:
                return error
            self._looked = self._ticks()
        return await asyncio.to_thread(self._explain, error)

    def _holds(self, at: int) -> bool:
        return self._credentials().holds(at)

    def _explain(self, error: SecureFlowError) -> SecureFlowError | None:
        self._credentials.check()
        authority = self._credentials().ca.decode("ascii")
        now = self._clock()
        theirs = server_time(self._method.server, authority) if self._method.server else None
        wrong = expired(self._credentials, now, self._method.next_step)
        if theirs is None:
            return error if self._holds(now) else wrong
        if self._holds(theirs):
            return self._named(error if self._holds(now) else wrong, now - theirs)
        if self._method.sign is None:
            return expired(self._credentials, theirs, self._method.next_step)
        try:
            self._renew(authority, self._method.sign)
        except SecureFlowError as refusal:
            _log.warning("certificate_not_renewed", code=refusal.code, message=refusal.message)
            return self._named(refusal, now - theirs)
        _log.info("certificate_renewed", by="signing key")
        return None

    def _named(self, error: SecureFlowError, ahead: int) -> SecureFlowError:
        """Return the error, with the clock difference if there is one."""
        if error.code != "link_broken" or not differ(ahead):
            return naming_clocks(error, WHOSE, ahead)
        return SecureFlowError(
            "clock_skew",
            Text(
                "{difference} The link cannot be established: {message}",
                difference=difference(WHOSE, ahead),
                message=error.message,
            ),
            "Set the clock that is wrong (NTP); the link then comes back by itself.",
            {"clock_ahead": ahead},
        )

    def _renew(self, authority: str, sign: Callable[[Any], str]) -> None:
        leaf = self._credentials().leaf
        csr = self._credentials.request()
        chain = renewed(self._method.server, authority, spiffe_id(leaf), csr, sign)
        self._credentials.install(chain, self._clock())


def expired(credentials: CredentialFiles, now: int, next_step: str) -> SecureFlowError:
    """Return the error for a certificate that is not valid now, with the next step."""
    leaf = credentials().leaf
    since, until = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > until.timestamp():
        message = Text(
            "The link certificate expired on {until}.", until=f"{until:%Y-%m-%d %H:%M} UTC"
        )
    else:
        message = Text(
            "The link certificate is not valid before {since}.", since=f"{since:%Y-%m-%d %H:%M} UTC"
        )
    return SecureFlowError("certificate_not_valid_now", message, next_step)
