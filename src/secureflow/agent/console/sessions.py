"""The session in the browser's cookie, and the token of forms that is bound to it.

The agent's session secret lives in the cookie alone: the page's process keeps none, so who takes it
over later holds no standing power. Over HTTPS the cookie is `__Host-` and Secure; over plain
loopback HTTP browsers would not take these. Cookies do not tell ports apart, so that the name has
the port: two agents' pages on one machine do not end one another's sessions.

A form has an HMAC under that secret: a page that was stolen from a screen, a cache or a log is no
use without the cookie, and a cookie that was set by a neighbour has no forms.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from secureflow.agent.console.loginstates import MOST, SECONDS, LoginState, kept, mark_of, read
from secureflow.kit.ownpages import single_cookie
from secureflow.texts import Language

LONGEST: Final = 128
"""Longer values are no session's."""
_SHAPE: Final = re.compile(r"sfa_[A-Za-z0-9_-]{43}")
_FORM: Final = b"secureflow/v1 owner's page form"
_LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
_YEAR: Final = 365 * 86_400


@dataclass(frozen=True)
class Cookies:
    """The page's cookies in a browser.

    Args:
        encrypted: whether the page is served over HTTPS.
        port: where it is served.
    """

    encrypted: bool
    port: int

    @property
    def session_name(self) -> str:
        """The name of the session's cookie."""
        return self._name("owner")

    def session_of(self, headers: Headers) -> str:
        """Return the session that a request brings, valid or not, or ""."""
        found = single_cookie(headers.getlist("cookie"), self.session_name, LONGEST)
        return found if _SHAPE.fullmatch(found) else ""

    def put_session(self, response: Response, secret: str) -> None:
        """Give the browser its session; without a lifetime there, because the agent ends it."""
        self._put(response, self.session_name, secret)

    def clear_session(self, response: Response) -> None:
        """Have the browser forget its session."""
        self._put(response, self.session_name, "", 0)

    def language_of(self, headers: Headers) -> Language | None:
        """Return the language that this browser's person chose."""
        found = single_cookie(headers.getlist("cookie"), self._name("language"), LONGEST)
        return next((one for one in _LANGUAGES if one == found), None)

    def put_language(self, response: Response, language: Language) -> None:
        """Remember the language that this browser's person chose."""
        self._put(response, self._name("language"), language, _YEAR)

    def device_of(self, headers: Headers, *, elsewhere: bool = False) -> str:
        """Return the device cookie that a request brings, valid or not, or "".

        Args:
            headers: of the request.
            elsewhere: the one of logins at identity providers.
        """
        return single_cookie(headers.getlist("cookie"), self._device(elsewhere), LONGEST)

    def put_device(self, response: Response, device: str, *, elsewhere: bool = False) -> None:
        """Let this browser be known at its next login (`console.attempts`)."""
        self._put(response, self._device(elsewhere), device, _YEAR)

    def login_of(self, headers: Headers, state: str) -> LoginState:
        """Return the login at a provider that a browser began with a state."""
        return read(headers.getlist("cookie"), self._login(mark_of(state)), state)

    def put_login(self, response: Response, headers: Headers, begun: LoginState) -> None:
        """Let the browser keep a login that it began; forget those that are too many."""
        known = kept(headers.getlist("cookie"), self._login(""))
        for name in known if len(known) >= MOST else ():
            self._put(response, name, "", 0, strict=False)
        name = self._login(mark_of(begun.state))
        self._put(response, name, begun.value, SECONDS, strict=False)

    def clear_login(self, response: Response, state: str) -> None:
        """Have the browser forget a login that is over."""
        self._put(response, self._login(mark_of(state)), "", 0, strict=False)

    def _login(self, mark: str) -> str:
        return self._name("login") + f"-{mark}"

    def _device(self, elsewhere: bool) -> str:
        return self._name("provider-device" if elsewhere else "device")

    def _name(self, what: str) -> str:
        return f"{'__Host-' if self.encrypted else ''}secureflow-{what}-{self.port}"

    def _put(
        self,
        response: Response,
        name: str,
        value: str,
        seconds: int | None = None,
        *,
        strict: bool = True,
    ) -> None:
        response.set_cookie(
            *(name, value, seconds),
            path="/",
            secure=self.encrypted,
            httponly=True,
            samesite="strict" if strict else "lax",
        )


def form_token(session: str) -> str:
    """Return the token of the forms of a session."""
    return hmac.new(session.encode(), _FORM, hashlib.sha256).hexdigest()


def is_token_of(token: str, session: str) -> bool:
    """Tell whether a form was made for this session."""
    return bool(session) and hmac.compare_digest(token.encode(), form_token(session).encode())
