"""How often callers may call: people by their user, strangers by their address.

Whoever showed a valid token before is recognised by it before anything is looked up, and does not
wait for the strangers behind the same address. What proves who calls is still the token itself, in
the handler; here it only decides whose turn a request takes.
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
"""Most tokens that are recognised; the one that was quiet longest is forgotten first."""


class Rates:
    """Paces requests.

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
        """Take a turn for a request; return 0.0, or the seconds to wait.

        Args:
            source: the address, as limits count it.
            token: the bearer token that the request carries, or nothing.
        """
        user = self._known.get(_digest(token)) if token else None
        return self._addresses.take(source) if user is None else self._users.take(user)

    def recognise(self, token: str, user: str, source: str) -> None:
        """Remember whose valid token this is: its requests count for the user from now on."""
        key = _digest(token)
        if key not in self._known:
            self._addresses.give_back(source)
            self._users.charge(user, 1.0)
        self._known[key] = user
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def charge(self, user: str, turns: float) -> None:
        """Count a request that was dear as several."""
        self._users.charge(user, turns)

    def forget(self, token: str) -> None:
        """Forget a token that is not valid any more."""
        self._known.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
