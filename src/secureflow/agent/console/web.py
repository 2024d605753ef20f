"""The page for browsers, as it was built; where it was not, how it is built.

One page serves every address under `/app`, because its program reads the address. It is never
kept, and each answer has a nonce of its own (`kit.builtfiles`). The parts of the program have a
digest in their names and are kept for good; one that is missing is 404 and never the page. Other
addresses that people type, or have in a mail, lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from secureflow.agent.console.addresses import HOME, WEB, own_path
from secureflow.application.plainpages import not_built
from secureflow.kit.builtfiles import PARTS, BuiltPage

DIST: Final = Path(__file__).parent / "dist"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SHORT: Final[Mapping[str, str]] = {
    **{name: name for name in ("r", "inbox", "data", "grants", "budgets", "people", "account")},
    **{"login": "login", "overview": "", "activity": "record", "absence": "account"},
}
"""Addresses without `/app` → the same under it: links to a request (`/r/ID`), and bookmarks."""


class Web:
    """Serves the page.

    Args:
        built: what was built.
    """

    def __init__(self, built: BuiltPage) -> None:
        self._built = built

    def routes(self) -> list[Route]:
        """Return its addresses."""
        return [
            Route("/", self.home),
            Route(f"{WEB}{PARTS}{{name:path}}", self.part),
            Route(WEB, self.page),
            Route(f"{WEB}/{{path:path}}", self.page),
            *(Route(f"/{one}", self.home) for one in SHORT),
            *(Route(f"/{one}/{{path:path}}", self.home) for one in SHORT),
        ]

    async def home(self, request: Request) -> Response:
        """Lead to the page, and there to what the address names."""
        first, slash, rest = request.url.path.removeprefix("/").partition("/")
        query = f"?{request.url.query}" if request.url.query else ""
        path = f"{SHORT.get(first, '')}{slash}{rest}".removeprefix("/")
        return RedirectResponse(own_path(f"{HOME}{path}{query}"), 303)

    async def page(self, request: Request) -> Response:
        """Answer with the page, whatever the address says after `/app`.

        Raises:
            SecureFlowError: `console_not_built`.
        """
        del request
        made = self._built.answer(WEB)
        if made is None:
            raise not_built()
        page, nonce = made
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY.format(nonce=nonce)})

    async def part(self, request: Request) -> Response:
        """Answer with a part of the program."""
        part = self._built.part(str(request.path_params["name"]))
        if part is None:
            raise HTTPException(404)
        path, headers = part.sent(request.headers.get("accept-encoding", ""), "private")
        return FileResponse(path, headers=headers, media_type=part.kind)
