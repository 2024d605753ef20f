"""Login at an identity provider: start and finish (OpenID Connect Core 1.0, section 3.1).

A login that was started is a row that any replica can finish, once, within ten minutes. The browser
that started it holds a secret in a cookie; nonce and PKCE verifier follow from this secret and the
state, so a copy of the database completes no login, and a link from elsewhere (login CSRF) none in
another browser. The row is gone before the provider is asked: an answer is never used twice.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.application.access import Principal, require_own
from secureflow.application.endings import access_of
from secureflow.application.failedlogins import FailedLogins
from secureflow.application.identities import Identities, LoginProvider
from secureflow.application.ports.identityprovider import (
    AuthorizationAnswer,
    AuthorizationRequest,
    IdentityProvider,
)
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.sessions import Opened, Sessions
from secureflow.application.throttle import Throttle, too_fast
from secureflow.domain.oidc import (
    PENDING_SECONDS,
    PendingLogin,
    derived_secret,
    local_path,
    secret_digest,
)
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

STARTS: Final = 60
"""Burst of logins started from one address; after that one per second."""
_REFUSALS: Final = frozenset({"login_denied", "id_token_refused", "provider_untrusted"})
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_DENIED: Final = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Started:
    """Where the browser goes, and the secret that it keeps meanwhile."""

    location: str = field(repr=False)
    browser: str = field(repr=False)


@dataclass(frozen=True)
class Callback:
    """What the browser brings back from the provider; every part is foreign.

    Args:
        state: of the login.
        code: or
        error: why there is none.
        issuer: who answers, if it says so (RFC 9207).
        browser: the secret in the cookie.
        session: the session that the browser had before, if any.
    """

    state: str = field(repr=False)
    code: str = field(repr=False)
    error: str = ""
    issuer: str | None = None
    browser: str = field(default="", repr=False)
    session: str = field(default="", repr=False)


@dataclass(frozen=True)
class Finished:
    """Where the login leads; without a session where an identity was bound."""

    next: str
    opened: Opened | None


class OidcLogins:
    """Logs people in at providers.

    Args:
        begin: starts units of work.
        identities: finds accounts.
        sessions: opens sessions.
        clock, ticks: date logins; limit how many are started.
        failed: counts those that a provider did not confirm.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        identities: Identities,
        sessions: Sessions,
        failed: FailedLogins,
        clock: Clock,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._begin = begin
        self.identities = identities
        self._sessions = sessions
        self._failed = failed
        self._clock = clock
        self._starts = Throttle(1.0, STARTS, ticks)

    def list(self) -> list[IdentityProvider]:
        """Return the providers, to choose from on a login page."""
        return [one.port for one in self.identities.providers.values()]

    async def start(
        self, name: str, leads_to: str, address: str, principal: Principal | None = None
    ) -> Started:
        """Start a login, or the binding of an identity to the caller's own account.

        Args:
            name: the provider's.
            leads_to: a local path.
            address: the source address.
            principal: who binds an identity.

        Raises:
            SecureFlowError: `not_found`, `invalid_next`, `rate_limited`, `provider_unreachable`,
                `provider_untrusted`, `scope_too_narrow` for a token that is no login.
        """
        if principal is not None:
            require_own(principal, "account.bind")
        provider = self.identities.provider(name)
        path = local_path(leads_to)
        if wait := self._starts.take(address):
            raise too_fast(wait)
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        request = AuthorizationRequest(
            state,
            derived_secret(browser, state, "nonce"),
            derived_secret(browser, state, "verifier"),
        )
        location = await provider.port.authorization_url(request)
        now = self._clock()
        pending = PendingLogin(
            *(secret_digest(state), name, secret_digest(browser), path, now),
            *(now + PENDING_SECONDS, principal.user if principal else ""),
            access=access_of(principal) if principal else "",
        )
        async with self._begin() as work:
            await work.pending_logins.add(pending)
            await work.commit()
        return Started(location, browser)

    async def finish(self, name: str, callback: Callback, address: str) -> Finished:
        """Finish a login with what the browser brought back.

        Raises:
            SecureFlowError: `not_found`, `login_not_pending`, `login_denied`, `id_token_refused`,
                `identity_refused`, `identity_taken`, or as the provider's calls.
        """
        provider = self.identities.provider(name)
        pending = await self._take(name, callback)
        claims = await self._claims(provider, callback, pending)
        if pending.user:
            await self.identities.bind_own(pending.user, provider, claims, pending.access)
            return Finished(pending.next, None)
        user = await self.identities.account(provider, claims)
        opened = await self._sessions.open(
            user, method=f"oidc:{name}", address=address, brought=callback.session
        )
        return Finished(pending.next, opened)

    async def _claims(
        self, provider: LoginProvider, callback: Callback, pending: PendingLogin
    ) -> Mapping[str, Any]:
        answer = AuthorizationAnswer(
            callback.code,
            callback.issuer,
            derived_secret(callback.browser, callback.state, "nonce"),
            derived_secret(callback.browser, callback.state, "verifier"),
            pending.created,
        )
        try:
            if callback.error:
                raise _denied(provider.port.name, callback.error)
            return await provider.port.authenticate(answer)
        except SecureFlowError as error:
            if error.code in _REFUSALS:
                self._failed.count(None)
            raise

    async def _take(self, name: str, callback: Callback) -> PendingLogin:
        """Remove the pending login of this state, browser and provider, and return it.

        What another browser or another provider's callback brings leaves it as it is.
        """
        if not _SECRET.fullmatch(callback.state) or not _SECRET.fullmatch(callback.browser):
            raise _not_pending()
        key = secret_digest(callback.state)
        async with self._begin() as work:
            await work.lock(f"pending_logins/{key}")
            pending = await work.pending_logins.find(key)
            if pending is None or self._clock() >= pending.expires:
                raise _not_pending()
            same = hmac.compare_digest(pending.browser, secret_digest(callback.browser))
            if not same or pending.provider != name:
                raise _not_pending()
            await work.pending_logins.remove(key)
            await work.commit()
        return pending


def _not_pending() -> SecureFlowError:
    return SecureFlowError(
        "login_not_pending",
        "This login was not started in this browser, has been used, or took too long.",
        "Start it again from the login page, in one window, and finish it within ten minutes.",
    )


def _denied(name: str, error: str) -> SecureFlowError:
    told = error if _DENIED.fullmatch(error) else "error"
    return SecureFlowError(
        "login_denied",
        Text("The identity provider {name} did not log you in ({error}).", name=name, error=told),
        "Start the login again and agree there; if it goes on, ask the provider's administrator.",
    )


__all__ = ["Callback", "Finished", "Identities", "LoginProvider", "OidcLogins", "Started"]
