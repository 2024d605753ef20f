"""Logins at the organisation's identity providers, from an agent that has no network port.

- *At the command line*: the device authorisation grant (RFC 8628). A person confirms a code in any
  browser; the agent asks the provider what came of it. The device code stays in the agent, and the
  login belongs to the Unix user who began it.
- *At the owner's page*: the code flow with PKCE (RFC 7636). The page has a state, which goes to the
  provider and back, and a secret, which it keeps in the browser's cookie: nonce and verifier follow
  from both, so that a link from elsewhere logs nobody in. Where the provider sends the browser is
  the agent's own setting, and one place per provider (mix-up, RFC 9207 section 1).

Logins that were begun are in memory alone: after a restart they are begun again. Each is good once.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.agent.owner.identities import PersonIdentities, PersonProvider, Port
from secureflow.agent.owner.logins import Logins
from secureflow.application.ports.identityprovider import (
    AuthorizationAnswer,
    AuthorizationRequest,
    DeviceQuestion,
)
from secureflow.application.throttle import Throttle, too_fast
from secureflow.domain.oidc import PENDING_SECONDS, derived_secret, secret_digest
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST_PENDING: Final = 128
"""Logins of one Unix user that wait; a further one ends the oldest. More than `STARTS` lets begin
in `PENDING_SECONDS`: all people at the owner's page are one Unix user, and none ends another's."""
STARTS: Final = 10
"""Burst of logins that one Unix user begins; after that one in six seconds."""
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_REFUSALS: Final = frozenset({"login_denied", "id_token_refused", "provider_untrusted"})


@dataclass
class _Pending:
    """A login that was begun.

    Args:
        user: the Unix user who began it.
        provider: by name.
        started, expires: unix seconds.
        browser: digest of the browser's secret; empty for a device.
        code, nonce: of a device.
        due: when the provider may be asked again, in the ticks of this process.
        interval: seconds between two questions.
    """

    user: int
    provider: str
    started: int
    expires: int
    browser: str = field(default="", repr=False)
    code: str = field(default="", repr=False)
    nonce: str = field(default="", repr=False)
    due: float = 0.0
    interval: int = 0


class ProviderLogins:
    """Logs people in at the configured providers.

    Args:
        providers: by name.
        identities: lets their people in.
        logins: notes failures.
        clock, ticks: date logins; pace questions.
    """

    def __init__(
        self,
        providers: Mapping[str, PersonProvider],
        identities: PersonIdentities,
        logins: Logins,
        clock: Clock,
        ticks: Ticks,
    ) -> None:
        self._providers = providers
        self._identities = identities
        self._logins = logins
        self._clock = clock
        self._ticks = ticks
        self._starts = Throttle(1 / 6, STARTS, ticks)
        self._pending: dict[str, _Pending] = {}

    def list(self) -> list[dict[str, JSON]]:
        """Return the providers, to choose from."""
        return [
            {"name": one.name, "title": one.title, "page": one.paged}
            for one in self._providers.values()
        ]

    def provider(self, name: str) -> PersonProvider:
        """Return a provider by its name; raises `not_found`."""
        found = self._providers.get(name)
        if found is None:
            raise SecureFlowError(
                "not_found",
                Text("This agent has no identity provider {name!r}.", name=name[:64]),
                "agent.yaml names them under identity.oidc; secureflow agent people providers "
                "lists them.",
            )
        return found

    # The device authorisation grant.

    async def start_device(self, name: str, user: int) -> dict[str, JSON]:
        """Begin a login that a person confirms in any browser.

        Returns:
            `login`, with which its outcome is asked for; `code` and `address` for the person, and
            `complete`, the address with the code in it, or empty; `interval` and `expires`.

        Raises:
            SecureFlowError: `not_found`, `rate_limited`, `provider_unreachable`,
                `provider_untrusted`, `invalid_settings`, `key_exposed`.
        """
        provider = self.provider(name)
        port = await self._begun(provider, user)
        login, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        found = await port.start_device(nonce)
        now = self._clock()
        self._keep(
            login,
            _Pending(
                *(user, name, now, now + found.seconds),
                code=found.code,
                nonce=nonce,
                due=self._ticks() + found.interval,
                interval=found.interval,
            ),
        )
        return {
            "login": login,
            "code": found.user_code,
            "address": found.address,
            "complete": found.complete,
            "interval": found.interval,
            "expires": now + found.seconds,
        }

    async def finish_device(self, login: str, user: int) -> dict[str, JSON]:
        """Return what came of such a login: the session, or `waiting` with the `interval`.

        Whoever asks more often than the provider wants gets no answer of it (RFC 8628, 3.5).

        Raises:
            SecureFlowError: `login_not_pending`, `login_denied`, `device_code_expired`,
                `id_token_refused`, `identity_refused`, `last_administrator`, or as the provider's.
        """
        pending = self._found(login)
        if pending is None or not pending.code or pending.user != user:
            raise _not_pending()
        if self._ticks() < pending.due:
            return {"waiting": True, "interval": pending.interval}
        pending.due = self._ticks() + pending.interval  # before the wait: one question at a time
        provider = self.provider(pending.provider)
        port = await asyncio.to_thread(provider.port)
        asked = DeviceQuestion(pending.code, pending.nonce, pending.started)
        try:
            answer = await port.ask_device(asked)
        except SecureFlowError as error:
            if error.code != "provider_unreachable":
                self._pending.pop(secret_digest(login), None)
                await self._note(error, provider, user)
            raise
        if answer.claims is None:
            pending.interval += answer.slower
            pending.due = self._ticks() + pending.interval
            return {"waiting": True, "interval": pending.interval}
        if self._pending.pop(secret_digest(login), None) is None:
            raise _not_pending()  # another question got the answer
        return await asyncio.to_thread(self._identities.log_in, provider, answer.claims, user)

    # The code flow.

    async def start(self, name: str, user: int) -> dict[str, JSON]:
        """Begin a login of the owner's page.

        Returns:
            `url`, where the browser goes; `state`, which comes back from there; `browser`, which
            the page keeps in that browser's cookie and nowhere else; `expires`.

        Raises:
            SecureFlowError: as `start_device`.
        """
        provider = self.provider(name)
        if not provider.paged:
            raise SecureFlowError(
                "not_found",
                Text("{name} does not know where this agent's page is.", name=name),
                "Set `redirect` of the provider in agent.yaml, and register it there.",
            )
        port = await self._begun(provider, user)
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        nonce, verifier = (derived_secret(browser, state, use) for use in ("nonce", "verifier"))
        url = await port.authorization_url(AuthorizationRequest(state, nonce, verifier))
        now = self._clock()
        until = now + PENDING_SECONDS
        self._keep(state, _Pending(user, name, now, until, browser=secret_digest(browser)))
        return {"url": url, "state": state, "browser": browser, "expires": until}

    async def finish(self, name: str, back: Mapping[str, str], user: int) -> dict[str, JSON]:
        """Return the session of a login that came back to the page's address for this provider.

        Args:
            name: the provider to whose address the browser came.
            back: `state`, `code`, `error` and `iss` as the browser brought them, and its cookie,
                `browser`; all foreign.
            user: the Unix user at the other end of the socket.

        Raises:
            SecureFlowError: as `finish_device`.
        """
        provider = self.provider(name)
        state, browser = back.get("state", ""), back.get("browser", "")
        pending = self._found(state)
        if pending is None or not pending.browser or not _SECRET.fullmatch(browser):
            raise _not_pending()
        same = hmac.compare_digest(pending.browser, secret_digest(browser))
        if not same or (pending.provider, pending.user) != (name, user):
            raise _not_pending()
        del self._pending[secret_digest(state)]  # before the provider is asked: it is good once
        port = await asyncio.to_thread(provider.port)
        nonce, verifier = (derived_secret(browser, state, use) for use in ("nonce", "verifier"))
        answer = AuthorizationAnswer(
            back.get("code", ""), back.get("iss"), nonce, verifier, pending.started
        )
        try:
            if back.get("error"):
                raise _denied(name, back["error"])
            claims = await port.authenticate(answer)
        except SecureFlowError as error:
            await self._note(error, provider, user)
            raise
        return await asyncio.to_thread(self._identities.log_in, provider, claims, user)

    # What both have in common.

    async def _begun(self, provider: PersonProvider, user: int) -> Port:
        if wait := self._starts.take(str(user)):
            raise too_fast(wait)
        return await asyncio.to_thread(provider.port)  # the first time it loads what it needs

    def _keep(self, secret: str, pending: _Pending) -> None:
        now = self._clock()
        self._pending = {key: one for key, one in self._pending.items() if now < one.expires}
        own = [key for key, one in self._pending.items() if one.user == pending.user]
        for key in own[: max(0, len(own) - MOST_PENDING + 1)]:
            del self._pending[key]
        self._pending[secret_digest(secret)] = pending

    def _found(self, secret: str) -> _Pending | None:
        found = self._pending.get(secret_digest(secret)) if _SECRET.fullmatch(secret) else None
        return None if found is None or self._clock() >= found.expires else found

    async def _note(self, error: SecureFlowError, provider: PersonProvider, user: int) -> None:
        """Log what a provider did not confirm."""
        if error.code in _REFUSALS:
            told: dict[str, Any] = {"method": f"oidc:{provider.name}", "code": error.code}
            await asyncio.to_thread(self._logins.note_refusal, user, told)


def _not_pending() -> SecureFlowError:
    return SecureFlowError(
        "login_not_pending",
        "This login was not begun here, has been used, or took too long.",
        "Begin it again, and finish it where it was begun within ten minutes.",
    )


def _denied(name: str, error: str) -> SecureFlowError:
    told = error if _WORD.fullmatch(error) else "error"
    return SecureFlowError(
        "login_denied",
        Text("The identity provider {name} did not log you in ({error}).", name=name, error=told),
        "Start the login again and agree there; if it goes on, ask the provider's administrator.",
    )
