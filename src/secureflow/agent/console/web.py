"""The page that was built for browsers, which takes the place of the server-rendered ones.

One page serves every address under `/app`, because its program reads the address. It is never
kept, and each answer has a nonce of its own for the styles that the program makes (CSP level 3,
6.7.2). The parts of the program have a digest in their names and are kept for good; one that is
missing is 404 and never the page. Links and bookmarks of server-rendered pages lead to the same
thing here, and their forms do nothing. Where none was built those pages are all there is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from secureflow.agent.console.addresses import CALLBACK
from secureflow.agent.console.visits import Page, own_path
from secureflow.kit.builtfiles import BuiltPage, takes_gzip

WEB: Final = "/app"
DIST: Final = Path(__file__).parent / "dist"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
ELSEWHERE: Final[Mapping[str, str]] = {
    "/overview": "/", "/activity": "/record", "/absence": "/account",
}  # fmt: skip
"""Server-rendered pages that the built page has under another address."""
STAY: Final = frozenset({CALLBACK, "/language", "/activity.json"})
"""Addresses that are answered in any case: what a provider leads back to, and what is no page."""
FOREVER: Final = "private, max-age=31536000, immutable"


class Web:
    """Serves the built page.

    Args:
        built: what was built; None: it is not served.
    """

    def __init__(self, built: BuiltPage | None) -> None:
        self._built = built

    def live(self) -> bool:
        """Tell whether it is served now."""
        return self._built is not None and self._built.page() is not None

    def instead(self, page: Page, request: Request) -> Response | None:
        """Lead from a server-rendered page to the same on the built one; None: it is answered.

        Raises:
            HTTPException: 405 for a form, of which nothing is done.
        """
        if page.path in STAY or not self.live():
            return None
        if request.method == "POST":
            raise HTTPException(405, headers={"Allow": "GET"})
        path = ELSEWHERE.get(request.url.path, request.url.path)
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(own_path(f"{WEB}{path}{query}"), 303)

    def routes(self) -> list[Route]:
        """Return its addresses."""
        return [
            Route("/", self.home),
            Route(f"{WEB}/assets/{{name:path}}", self.part),
            Route(WEB, self.page),
            Route(f"{WEB}/{{path:path}}", self.page),
        ]

    async def home(self, request: Request) -> Response:
        """Lead to the built page, or to the server-rendered ones."""
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(own_path(f"{WEB}/{query}") if self.live() else "/overview", 303)

    async def page(self, request: Request) -> Response:
        """Answer with the page, whatever the address says after `/app`."""
        del request
        page = None if self._built is None else self._built.page()
        if page is None:
            raise HTTPException(404)
        nonce = secrets.token_urlsafe(18)
        text = (
            page.replace("__NONCE__", nonce)
            .replace("__PREFIX__", WEB)
            .replace('"./assets/', f'"{WEB}/assets/')
        )
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY.format(nonce=nonce)})

    async def part(self, request: Request) -> Response:
        """Answer with a part of the program."""
        name = str(request.path_params["name"])
        part = None if self._built is None else self._built.part(name)
        if part is None:
            raise HTTPException(404)
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        if part.squeezed is not None and takes_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            return FileResponse(part.squeezed, headers=headers, media_type=part.kind)
        return FileResponse(part.path, headers=headers, media_type=part.kind)
