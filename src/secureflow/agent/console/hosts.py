"""Under which names the page answers, and which requests come from its own pages.

A page of elsewhere whose name is made to lead to this machine (DNS rebinding) comes under that
name, which is not listed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from starlette.datastructures import Headers

from secureflow.agent.consolesettings import ConsoleSettings, address_of
from secureflow.kit.addresses import is_loopback
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.ownpages import SAFE_METHODS, from_same_origin

_PORT: Final = re.compile(r":[0-9]{1,5}$")
_DEFAULT: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Hosts:
    """The names of the page.

    Args:
        scheme: `http` or `https`.
        names: what a Host header may say, in lower case, with a port.
    """

    scheme: str
    names: frozenset[str]

    @classmethod
    def of(cls, settings: ConsoleSettings, port: int) -> Self:
        """Return the names of a page that is served on a port."""
        host, _ = address_of(settings.listen)
        local = ("127.0.0.1", "localhost", "[::1]") if is_loopback(host) else ()
        bare = f"[{host}]" if ":" in host else host
        own = {*local, *([] if host in ("0.0.0.0", "::") else [bare])}  # noqa: S104  compared only
        given = {*own, *settings.allowed_hosts}
        named = {one if _PORT.search(one) else f"{one}:{port}" for one in given}
        return cls("https" if settings.encrypted else "http", frozenset(named))

    def check(self, method: str, headers: Headers) -> None:
        """Refuse a request under another name, and one that writes and is of another's page.

        Raises:
            SecureFlowError: `host_refused`, `cross_site_request`.
        """
        named = headers.getlist("host")
        if len(named) != 1 or self._full(named[0]) not in self.names:
            raise SecureFlowError(
                "host_refused",
                "The owner's page does not answer under this name.",
                "Use the address that its start prints, or allow the name: --allow-host NAME.",
            )
        if method in SAFE_METHODS:
            return
        sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
        host = named[0].lower()
        own = {f"{self.scheme}://{host}", f"{self.scheme}://{self._short(host)}"}
        if not from_same_origin(sites, origins, own):
            raise SecureFlowError(
                "cross_site_request",
                "The request does not come from a page of this service.",
                "Open the owner's page itself, and decide there.",
            )

    def _full(self, host: str) -> str:
        lower = host.lower()
        return lower if _PORT.search(lower) else lower + _DEFAULT[self.scheme]

    def _short(self, host: str) -> str:
        return host.removesuffix(_DEFAULT[self.scheme])
