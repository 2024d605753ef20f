"""The page that was built for browsers, beside the server-rendered ones.

One page serves every address under `/app`, because its program reads the address. It is never
kept, and each answer has a nonce of its own for the styles that the program makes (CSP level 3,
6.7.2). The parts of the program have a digest in their names and are kept for good; one that is
missing is 404 and never the page. Where none was built the server-rendered pages are all there is.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from secureflow.agent.console.visits import own_path
from secureflow.kit.builtfiles import BuiltPage, takes_gzip

WEB: Final = "/app"
DIST: Final = Path(__file__).parent / "dist"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
FOREVER: Final = "private, max-age=31536000, immutable"


class Web:
    """Serves the built page.

    Args:
        built: what was built; None: it is not served.
    """

    def __init__(self, built: BuiltPage | None) -> None:
        self._built = built

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
        built = self._built is not None and self._built.page() is not None
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(own_path(f"{WEB}/{query}") if built else "/overview", 303)

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
