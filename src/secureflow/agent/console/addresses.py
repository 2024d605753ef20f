"""The addresses of the owner's page that more than one part must know."""

from __future__ import annotations

from typing import Final

WEB: Final = "/app"
"""Under which the page is, whatever the address says after it."""
HOME: Final = f"{WEB}/"
LOGIN: Final = f"{WEB}/login"
API: Final = "/api"
"""Under which programs and the page in the browser are answered in JSON."""
EVENTS: Final = f"{API}/events"
"""The one answer that does not end."""
POLICIES: Final = f"{API}/policies"
"""Under which texts of policies are sent, which are longer than other bodies."""
CALLBACK: Final = "/oidc/{provider}/callback"
"""Where identity providers send browsers back to."""


def is_api(path: str) -> bool:
    """Tell whether an address is of the API."""
    return path == API or path.startswith(f"{API}/")


def own_path(given: str) -> str:
    """Return a path of this page, to lead a browser to; anything else becomes the first screen.

    `//host`, `/\\\\host` and what a browser removes from an address would lead elsewhere.
    """
    plain = given.isascii() and given.isprintable() and len(given) <= 512
    own = given.startswith("/") and not given.startswith("//") and "\\" not in given
    return given if plain and own and " " not in given else HOME
