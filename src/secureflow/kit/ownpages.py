"""Which page a browser's request comes from, and which cookie it carries: pure parts of the checks.

Cookies of SameSite=Strict still come along from a neighbouring subdomain, or another port of the
same host. So a request that writes must also come from a page of this very origin, as the browser
says in Sec-Fetch-Site and Origin (OWASP, Cross-Site Request Forgery Prevention: Fetch Metadata,
verifying origin). One that says neither is no browser's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


def from_same_origin(sites: Sequence[str], origins: Sequence[str], own: Collection[str]) -> bool:
    """Tell whether a request comes from a page of this very origin.

    Args:
        sites: its Sec-Fetch-Site headers.
        origins: its Origin headers.
        own: the origins of own pages, in lower case.
    """
    if not sites and not origins:
        return False
    same = all(site == "same-origin" for site in sites)
    return same and all(one.lower() in own for one in origins)


def single_cookie(headers: Iterable[str], name: str, longest: int) -> str:
    """Return what a request's cookie of a name holds, or "".

    Two different ones are none: a neighbouring subdomain may have added one (cookie tossing), and
    browsers do not say which is whose.

    Args:
        headers: its Cookie headers.
        name: of the cookie.
        longest: longer values are none.
    """
    found = set()
    for header in headers:
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                found.add(value if len(value) <= longest else "")
    return found.pop() if len(found) == 1 else ""
