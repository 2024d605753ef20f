"""The addresses of the owner's page that more than one part must know."""

from __future__ import annotations

from typing import Final

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
