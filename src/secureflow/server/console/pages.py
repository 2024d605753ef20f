"""What is answered where the API has no route: the console's page and the parts of its program.

One page serves every address of the console, because its program reads the address. It is never
kept, and each answer has a nonce of its own, which the content policy allows for the styles that
the program makes (CSP level 3, 6.7.2). The parts of the program have a digest in their names and
are kept for good; one that is missing is 404 and never the page, which a browser would take for a
broken program. The API's paths are never answered with a page.
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.datastructures import Headers

from secureflow.application.plainpages import not_built
from secureflow.kit.builtfiles import PARTS, BuiltPage
from secureflow.server.console.files import DIST
from secureflow.server.rest.errorpages import error_page
from secureflow.server.settings import RestSettings

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_READS: Final = frozenset({"GET", "HEAD"})
_APART: Final = re.compile(r"/+(?:api|healthz|readyz|metrics)(?:/|$)")
"""Paths that are the API's, whether or not it has a route there."""
_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Console:
    """Answers requests for the console.

    Args:
        settings: whether it is served, and under which prefix.
        files: what was built.
    """

    def __init__(self, settings: RestSettings, files: BuiltPage | None = None) -> None:
        self._served = settings.console
        self._prefix = settings.prefix
        self._files = files or BuiltPage(DIST)

    def answer(self, method: str, path: str, headers: Headers) -> Response | None:
        """Return the answer to a request that the API has no route for; None if there is none."""
        if not self._served or method not in _READS or _APART.match(path):
            return None
        if path.startswith(PARTS):
            return self._part(path.removeprefix(PARTS), headers.get("accept-encoding", ""))
        if path != "/" and "text/html" not in headers.get("accept", ""):
            return None
        return self._page(headers)

    def _part(self, name: str, encodings: str) -> Response | None:
        part = self._files.part(name)
        if part is None:
            return None
        path, headers = part.sent(encodings, "public")
        return FileResponse(path, headers={**_HEADERS, **headers}, media_type=part.kind)

    def _page(self, headers: Headers) -> Response:
        built = self._files.answer(self._prefix)
        if built is None:
            return error_page(not_built(), headers.get("accept-language", ""))
        page, nonce = built
        policy = POLICY.format(nonce=nonce)
        kept = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
        return HTMLResponse(page, headers={**_HEADERS, **kept})
