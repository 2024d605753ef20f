"""What is answered where the API has no route: the console's page and the parts of its program.

One page serves every address of the console, because its program reads the address. It is never
kept, and each answer has a nonce of its own, which the content policy allows for the styles that
the program makes (CSP level 3, 6.7.2). The parts of the program have a digest in their names and
are kept for good; one that is missing is 404 and never the page, which a browser would take for a
broken program. The API's paths are never answered with a page.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from fastapi import Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.datastructures import Headers

from secureflow.kit.builtfiles import BuiltPage, takes_gzip
from secureflow.kit.errors import SecureFlowError
from secureflow.server.console.files import DIST
from secureflow.server.rest.errorpages import error_page
from secureflow.server.settings import RestSettings

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
FOREVER: Final = "public, max-age=31536000, immutable"
PARTS: Final = "/assets/"
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
        headers = {**_HEADERS, "Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        if part.squeezed is not None and takes_gzip(encodings):
            headers["Content-Encoding"] = "gzip"
            return FileResponse(part.squeezed, headers=headers, media_type=part.kind)
        return FileResponse(part.path, headers=headers, media_type=part.kind)

    def _page(self, headers: Headers) -> Response:
        built = self._files.page()
        if built is None:
            return error_page(_not_built(), headers.get("accept-language", ""))
        nonce = secrets.token_urlsafe(18)
        page = (
            built.replace("__NONCE__", nonce)
            .replace("__PREFIX__", self._prefix)
            .replace('"./assets/', f'"{self._prefix}{PARTS}')
        )
        policy = POLICY.format(nonce=nonce)
        kept = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
        return HTMLResponse(page, headers={**_HEADERS, **kept})


def _not_built() -> SecureFlowError:
    return SecureFlowError(
        "console_not_built",
        "The web console is not built in this installation of the centre.",
        "In a checkout run `make web`; a built package has it. The API and the commands work.",
    )
