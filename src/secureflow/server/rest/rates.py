"""Rate limits: users by user, unauthenticated callers by address.

A token that was valid before is recognised without a lookup, so its user does not wait for
strangers behind the same address. The caller is still authenticated by the token, in the handler;
here it only decides whose budget a request counts against.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import Final

from secureflow.application.throttle import Throttle
from secureflow.kit.clock import Ticks
from secureflow.server.settings import RestSettings

REMEMBERED: Final = 10_000
"""Maximum number of recognised tokens; the least recently used is forgotten first."""


class Rates:
    """Limits the rate of requests.

    Args:
        settings: the rates; an address may do five times as much as a user.
        ticks: monotonic seconds.
    """

    def __init__(self, settings: RestSettings, ticks: Ticks = time.monotonic) -> None:
        rate, burst = settings.rate_per_second, settings.burst
        self._users = Throttle(rate, burst, ticks)
        self._addresses = Throttle(5 * rate, 5 * burst, ticks)
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def arrive(self, source: str, token: str) -> float:
        """Count a request; return 0.0, or the seconds to wait.

        Args:
            source: the address, as counted by limits.
            token: the bearer token that the request carries, or "".
        """
        user = self._known.get(_digest(token)) if token else None
        return self._addresses.take(source) if user is None else self._users.take(user)

    def recognise(self, token: str, user: str, source: str) -> None:
        """Remember a valid token's user: its requests count for them from now on."""
        key = _digest(token)
        if key not in self._known:
            self._addresses.give_back(source)
            self._users.charge(user, 1.0)
        self._known[key] = user
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def charge(self, user: str, turns: float) -> None:
        """Count an expensive request as several."""
        self._users.charge(user, turns)

    def forget(self, token: str) -> None:
        """Forget a token that is no longer valid."""
        self._known.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
