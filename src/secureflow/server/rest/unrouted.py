"""What is answered where the API has no route: whatever the app's state names, else a 404.

The routes and their description are made once for a process (`rest.app`); who answers the rest
belongs to each app, as its use cases do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastapi import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWERS: Final = "unrouted"
"""Name in the app's state: the function that answers, if there is one."""
Answers = Callable[[str, str, Headers], Response | None]
"""Takes method, path and headers of a request; None if it has no answer either."""


def unrouted(absent: ASGIApp) -> ASGIApp:
    """Return what a router does where nothing matches.

    Args:
        absent: answers what nobody answers.
    """

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        answers: Answers | None = None
        if scope["type"] == "http" and "app" in scope:
            answers = getattr(scope["app"].state, ANSWERS, None)
        headers = Headers(scope=scope)
        answer = answers(scope["method"], scope["path"], headers) if answers else None
        await (answer or absent)(scope, receive, send)

    return answered
