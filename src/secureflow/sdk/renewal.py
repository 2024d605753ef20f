"""How a client continues its login: by the refresh token, when the server refuses the other one.

A refresh token counts once (RFC 9700, section 4.14.2). So programs that share a profile take turns:
under a lock of its file each reads first whether another one has been there, and stores what it got
before it lets go. A refresh whose answer was lost is repeated at once, while the server still
answers it; it has few seconds, so each try has few.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.unpicklable import Unpicklable
from secureflow.sdk import answers
from secureflow.sdk.calls import Pause, Send
from secureflow.sdk.views import Session

OVER: Final = frozenset({"token_expired", "unauthenticated"})
"""Codes with which a server refuses a token that may be continued."""
TRIES: Final = 3
TRY_SECONDS: Final = 4.0
TURNS: Final = 200
"""Looks at the lock; after them the refresh goes on without it."""
TURN_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Tokens(Unpicklable):
    """An access token and the refresh token that continues it; "" for none."""

    token: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)


class Keeper(Protocol):
    """Where tokens are kept between programs."""

    def lock(self) -> bool:
        """Take the lock; False if another program has it now."""

    def unlock(self) -> None:
        """Let go of the lock, if it was taken."""

    def load(self) -> Tokens:
        """Return the tokens that are kept now."""

    def store(self, tokens: Tokens) -> None:
        """Keep these."""


class Renewable(Protocol):
    """What is continued: a `Connection`."""

    url: str
    token: str
    refresh: str
    keeper: Keeper | None

    def request(
        self, method: str, path: str, *, extra: dict[str, str] | None = None, **rest: Any
    ) -> httpx.Request:
        """Build a request to the server."""


def renew(connection: Renewable, shown: str) -> Generator[Any, Any, bool]:
    """Get a fresh access token in place of the one that was refused; False if there is no way.

    Args:
        connection: whose tokens are replaced.
        shown: the token that was refused.

    Raises:
        SecureFlowError: `refresh_ended`, `unavailable`.
    """
    if not connection.refresh:
        return False
    keeper = connection.keeper
    try:
        if keeper is not None:
            yield from _taken(keeper)
            kept = keeper.load()
            if kept.refresh and kept.refresh != connection.refresh:
                connection.token, connection.refresh = kept.token, kept.refresh
        if connection.token != shown:  # somebody was faster
            return True
        session = yield from _refreshed(connection)
        connection.token, connection.refresh = session.token, session.refresh
        if keeper is not None:
            keeper.store(Tokens(session.token, session.refresh))
    finally:
        if keeper is not None:
            keeper.unlock()
    return True


def _taken(keeper: Keeper) -> Generator[Any, Any, None]:
    for _ in range(TURNS):
        if keeper.lock():
            return
        yield Pause(TURN_SECONDS)


def _refreshed(connection: Renewable) -> Generator[Any, Any, Session]:
    for left in reversed(range(TRIES)):
        body = {"refresh": connection.refresh}
        request = connection.request("POST", "/refresh", json=body)
        request.headers.pop("Authorization", None)
        request.extensions["timeout"] = httpx.Timeout(TRY_SECONDS).as_dict()
        try:
            response: httpx.Response = yield Send(request)
        except httpx.TransportError as error:
            reason: SecureFlowError = answers.unreachable(error, connection.url)
            if not left or reason.code == "server_untrusted":
                raise reason from error
            continue
        if response.is_success:
            return answers.value(Session)(response)
        if not left or response.status_code not in {502, 503, 504}:
            raise answers.problem(response)
    raise AssertionError  # pragma: no cover - the last try returns or raises
