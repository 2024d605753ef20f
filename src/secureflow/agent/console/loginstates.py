"""What a browser keeps while its person is at the identity provider.

One cookie for each login, named after its state, so that two tabs do not disturb each other. It is
SameSite=Lax: the provider's way back is a navigation from another site, with which a browser sends
no Strict cookie. It holds nothing but the secret that the agent compares (RFC 9700, section 4.7.1)
and where to go afterwards; without it nobody finishes the login, and with it alone nobody either.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from secureflow.kit.ownpages import single_cookie

MOST: Final = 4
"""Logins that a browser keeps: its headers are bounded. A further one forgets the others."""
SECONDS: Final = 600
"""As long as the agent waits."""
_LONGEST: Final = 320
_LONGEST_BACK: Final = 200
_BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class LoginState:
    """A login that was begun in a browser.

    Args:
        state: as the provider brings it back.
        browser: the secret of this browser.
        back: where to go afterwards.
    """

    state: str
    browser: str = field(repr=False)
    back: str

    @property
    def value(self) -> str:
        """What its cookie holds."""
        path = quote(self.back, safe="")  # what needs no quotes in a cookie
        return f"{self.browser}.{path if len(path) <= _LONGEST_BACK else ''}"


def mark_of(state: str) -> str:
    """Return by which a cookie is named: a state is foreign."""
    return hashlib.sha256(state.encode()).hexdigest()[:16]


def read(headers: Iterable[str], name: str, state: str) -> LoginState:
    """Return a login from the cookie of a name; without a secret if there is none."""
    found = single_cookie(headers, name, _LONGEST)
    browser, _, back = found.partition(".")
    good = _BROWSER.fullmatch(browser) is not None
    return LoginState(state, browser if good else "", unquote(back) if good else "")


def kept(headers: Iterable[str], prefix: str) -> list[str]:
    """Return the names of such cookies that a browser brings."""
    shape = re.compile(rf"{re.escape(prefix)}[0-9a-f]{{16}}")
    pairs = (pair for header in headers for pair in header.split(";"))
    names = {pair.partition("=")[0].strip() for pair in pairs}
    return sorted(name for name in names if shape.fullmatch(name))
