"""In which language a browser is answered."""

from __future__ import annotations

from starlette.requests import Request

from secureflow.agent.console.site import Site
from secureflow.texts import Language
from secureflow.texts.negotiation import asked


def language_of(site: Site, request: Request) -> Language:
    """Return the one that its person chose here, else the one that it prefers."""
    chosen = site.cookies.language_of(request.headers)
    return chosen or asked(request.headers.get("accept-language", ""))
