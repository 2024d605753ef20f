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
from secureflow.application.proofs import RECENT, require_proof
from secureflow.application.sessions import Opened, Sessions
from secureflow.application.shares import Share, make_room
from secureflow.application.throttle import Throttle, too_fast
from secureflow.domain.oidc import (
    PENDING_SECONDS,
    PendingLogin,
    derived_secret,
    local_path,
    secret_digest,
)
from secureflow.kit.addresses import block_of
from secureflow.kit.clock import MAX_SKEW, Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

STARTS: Final = 60
"""Burst of logins started from one address; after that one per second."""
SHARE: Final = Share(200, 5000)
"""Logins that may wait for their provider at a time."""
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
        client: the kind of browser.
    """

    state: str = field(repr=False)
    code: str = field(repr=False)
    error: str = ""
    issuer: str | None = None
    browser: str = field(default="", repr=False)
    session: str = field(default="", repr=False)
    client: str = ""


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
        self._blocks = Throttle(4.0, 4 * STARTS, ticks)
        self.share = SHARE

    def list(self) -> list[IdentityProvider]:
        """Return the providers, to choose from on a login page."""
        return [one.port for one in self.identities.providers.values()]

    async def start(
        self,
        name: str,
        leads_to: str,
        address: str,
        principal: Principal | None = None,
        *,
        fresh: bool = False,
    ) -> Started:
        """Start a login, or the binding of an identity to the caller's own account.

        Args:
            name: the provider's.
            leads_to: a local path.
            address: the source address.
            principal: who binds an identity.
            fresh: whether the provider has the person prove anew who they are.

        Raises:
            SecureFlowError: `not_found`, `invalid_next`, `rate_limited`, `provider_unreachable`,
                `provider_untrusted`, `scope_too_narrow` for a token that is no login;
                `proof_required` to bind an identity.
        """
        if principal is not None:
            require_own(principal, "account.bind")
            async with self._begin() as work:
                await require_proof(work, principal, self._clock())
        provider = self.identities.provider(name)
        path = local_path(leads_to)
        block = block_of(address)
        if wait := self._starts.take(address) or self._blocks.take(block):
            raise too_fast(wait)
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        request = AuthorizationRequest(
            state,
            derived_secret(browser, state, "nonce"),
            derived_secret(browser, state, "verifier"),
            age=RECENT if fresh else None,
        )
        location = await provider.port.authorization_url(request)
        now = self._clock()
        pending = PendingLogin(
            *(secret_digest(state), name, secret_digest(browser), path, now),
            *(now + PENDING_SECONDS, principal.user if principal else ""),
            access=access_of(principal) if principal else "",
            fresh=fresh,
            block=block,
        )
        async with self._begin() as work:
            await work.lock("pending_logins")
            await make_room(work.pending_logins, block, now, self.share)
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
        proven = _proven(claims, self._clock(), fresh=pending.fresh)
        user = await self.identities.account(provider, claims)
        opened = await self._sessions.open(
            *(user,),
            method=f"oidc:{name}",
            address=address,
            brought=callback.session,
            proven=proven,
            client=callback.client,
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


def _proven(claims: Mapping[str, Any], now: int, *, fresh: bool) -> int:
    """Return when a person proved to the provider who they are: just now, if it does not say.

    Raises:
        SecureFlowError: `id_token_refused` if that had to be lately (OpenID Connect Core 1.0,
            section 3.1.2.1, `max_age`) and was not.
    """
    told = claims.get("auth_time")
    at = told if isinstance(told, int) and not isinstance(told, bool) else None
    if fresh and (at is None or now - at > RECENT + MAX_SKEW):
        raise SecureFlowError(
            "id_token_refused",
            "The identity provider did not have you prove anew who you are.",
            "Log out there and log in again; if that does not help, ask the provider's "
            "administrator about max_age and auth_time.",
        )
    return now if at is None else at


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
