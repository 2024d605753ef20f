"""Logging in at the organisation's identity provider (OpenID Connect, the code flow with PKCE).

The agent makes and checks all of the protocol (`agent.owner.providerlogins`); the page carries it
between browser and agent. What comes back is foreign (RFC 6749, section 10; RFC 9207, `iss`): each
value once, and bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import Response

from secureflow.agent.console.addresses import HOME, LOGIN, own_path
from secureflow.agent.console.asking import ATTENDED
from secureflow.agent.console.failures import answered, error_page
from secureflow.agent.console.loginstates import LoginState
from secureflow.agent.console.visits import Visit
from secureflow.application.plainpages import Way, leading_page
from secureflow.kit.addresses import is_loopback
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.kit.text import Text

_BOUNDS: Final = {"state": 128, "code": 4096, "error": 40, "iss": 512}
"""Characters of what a provider sends a browser back with; everything else is not read."""
PROVIDER: Final = "[A-Za-z0-9._-]{1,64}"
"""A provider's name in an address."""
_PROVIDER: Final = re.compile(PROVIDER)
_MAX_FIELDS: Final = 32
_LONGEST: Final = 4096
"""Characters of the address at a provider."""
_PORTS: Final = {"http": 80, "https": 443}
_WORD: Final = re.compile(r"[a-z_]{1,40}|")
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
"""Of what these values consist (RFC 6749, appendix A)."""
_ADDRESS: Final = re.compile(r"[\x21-\x7e]+")
_UNUSED: Final = frozenset(
    {
        *("login_not_pending", "malformed_request", "invalid_request", "not_found"),
        *("agent_not_running", "agent_silent"),
    }
)
"""Codes after which a login still waits at the agent, or may."""


def usable(told: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the identity providers that know this page."""
    return [one for one in told if one.get("page") and _PROVIDER.fullmatch(str(one.get("name")))]


async def begin(visit: Visit, name: str, back: str) -> tuple[str, Callable[[Response], None]]:
    """Begin a login at a provider.

    Args:
        visit: the request; a session that it brings ends.
        name: of the provider.
        back: where the login leads in the end.

    Returns:
        The address at the provider, and what has the browser keep the login that it began.

    Raises:
        SecureFlowError: `rate_limited`, `provider_…`, `host_refused`, the agent's refusals.
    """
    cookies, headers = visit.site.cookies, visit.request.headers
    device = cookies.device_of(headers, elsewhere=True)
    visit.site.attempts.begin_elsewhere(visit.address, device)
    begun = members(await _ask(visit, "people.oidc_start", provider=name))
    url = _checked(visit, str(begun.get("url") or ""))
    if visit.session:
        # Now: on the way back from another site the browser does not bring it.
        with contextlib.suppress(SecureFlowError):
            await visit.ask("people.logout")
    here = LoginState(str(begun["state"]), str(begun["browser"]), back)

    def complete(answer: Response) -> None:
        if visit.session:
            cookies.clear_session(answer)
        cookies.put_login(answer, headers, here)

    return url, complete


def _checked(visit: Visit, url: str) -> str:
    """Return where the browser goes, if that is a place to go, and leads back to this page.

    Raises:
        SecureFlowError: `provider_untrusted`, `host_refused`.
    """
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
        good = bool(parts.hostname) and (plain or parts.scheme == "https")
        back = parse_qs(parts.query).get("redirect_uri", [""])[0]
        there, here = _origin(back), _origin(str(visit.request.url))
    except ValueError:
        good, there, here = False, "", ""
    if not good or len(url) > _LONGEST or not _ADDRESS.fullmatch(url):
        raise SecureFlowError(
            "provider_untrusted",
            "The address at the identity provider is none that a browser is sent to.",
            "Log in with a password, and ask who runs the agent.",
        )
    if there and there != here:
        raise SecureFlowError(
            "host_refused",
            Text(
                "The identity provider leads back to {there:.200}, and not to this page, "
                "{here:.200}.",
                there=there,
                here=here,
            ),
            "Open the page at that address, and log in there; agent.yaml names it as `redirect`.",
        )
    return url


def _origin(url: str) -> str:
    """Return the origin of an address; empty of none (`ValueError`: its port is none)."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else ""


async def callback(visit: Visit) -> Response:
    """Finish a login with what the provider sent the browser back with, once."""
    if visit.request.method != "GET":  # HEAD, which would use it up and show nothing
        raise HTTPException(405, headers={"Allow": "GET"})
    cookies, headers = visit.site.cookies, visit.request.headers
    state, back = "", HOME
    try:
        told = _told(visit.request.scope["query_string"])
        state = told["state"]
        begun = cookies.login_of(headers, state)
        back = own_path(begun.back)
        name = str(visit.request.path_params["provider"])
        asking = _ask(visit, "people.oidc_finish", provider=name, browser=begun.browser, **told)
        opened = members(await asking)
    except SecureFlowError as error:
        answer = error_page(error, visit.language, Way(LOGIN, "To the login"))
        if state and error.code not in _UNUSED:
            cookies.clear_login(answer, state)
        return answer
    if visit.session:
        with contextlib.suppress(SecureFlowError):
            await visit.ask("people.logout")
    # Not a redirect: the browser, which comes from another site, would keep the Strict cookie back.
    page = leading_page("You are logged in", Way(back, "Open the page"), visit.language)
    answer = answered(page)
    cookies.clear_login(answer, state)
    cookies.put_session(answer, str(opened["session"]))
    device = visit.site.attempts.succeeded_elsewhere(visit.address)
    cookies.put_device(answer, device, elsewhere=True)
    return answer


def _told(query: bytes) -> dict[str, str]:
    """Return what came back: `state`, and `code`, `error` and `iss` as far as they are there.

    Raises:
        SecureFlowError: `malformed_request`.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict",
            max_num_fields=_MAX_FIELDS,
        )  # fmt: skip
    except ValueError as error:
        raise _malformed() from error
    own = [(name, value) for name, value in pairs if name in _BOUNDS]
    told = dict(own)
    if not _WORD.fullmatch(told.get("error", "error")):
        told["error"] = "error"  # it is refused in any case; its text is nobody's
    bounded = all(
        len(value) <= _BOUNDS[name] and _PLAIN.fullmatch(value) for name, value in told.items()
    )
    if len(told) != len(own) or not bounded or not told.get("state"):
        raise _malformed()
    return told


def _malformed() -> SecureFlowError:
    return SecureFlowError(
        "malformed_request",
        "What came back from the identity provider cannot be read.",
        "Start the login again; if it goes on, ask the provider's administrator.",
    )


async def _ask(visit: Visit, command: str, **given: JSON) -> JSON:
    """Ask the agent, which asks a provider: a slow one must not take all connections to it."""
    try:
        async with asyncio.timeout(ATTENDED), visit.site.dialling:
            return await visit.site.agent.ask(command, "", ATTENDED, **given)
    except TimeoutError as error:
        raise SecureFlowError(
            "agent_silent",
            "The agent does not answer: too many logins wait for an identity provider.",
            "Try again in a minute, or log in with a password.",
        ) from error
