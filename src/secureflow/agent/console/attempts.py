"""Slowing logins down so that nobody locks others out.

At the agent all logins of the page come from one Unix user. So guesses are slowed down here first,
by the client's address, and by address and name together; the agent slows them down by the
*source* that the page names. A browser in which somebody logged in before has a *device cookie*
for that name (OWASP, Slow Down Online Guessing Attacks with Device Cookies): its logins are a
source of their own, so that others' guesses, from the same address too, do not slow them down.
Strangers together are given less than the agent allows the page, so that known devices always
have room.

The key of device cookies is of this process: a restart forgets the devices.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

from secureflow.application.throttle import Throttle, too_fast
from secureflow.kit.addresses import source_of
from secureflow.kit.clock import Ticks

_NONCE: Final = 16
_PARTS: Final = 2
BURST: Final = 5
"""Guesses of a source at one name at once; after that one in half a minute."""
ADDRESS_BURST: Final = 10
"""Guesses of one address at all names at once; after that one in ten seconds."""
STRANGERS: Final = 40
"""Guesses at once of all addresses without a device cookie; after that one in two seconds."""
AIMED: Final = 20
"""As many of them at one name; after that one in 15 seconds: the agent allows more (`Logins`)."""


class Attempts:
    """Counts logins.

    Args:
        ticks: seconds of a monotonic clock.
        draw: returns random hex digits, for the key and the nonces.
    """

    def __init__(self, ticks: Ticks, draw: Callable[[int], str] = secrets.token_hex) -> None:
        self._key = draw(32).encode()
        self._draw = draw
        self._named = Throttle(1 / 30, BURST, ticks)
        self._addresses = Throttle(1 / 10, ADDRESS_BURST, ticks)
        self._strangers = Throttle(1 / 2, STRANGERS, ticks)
        self._aimed = Throttle(1 / 15, AIMED, ticks)

    def begin(self, address: str, name: str, device: str) -> str:
        """Return the source of a login, for the agent.

        Args:
            address: of the client.
            name: of the account.
            device: the device cookie, or empty.

        Raises:
            SecureFlowError: `rate_limited`.
        """
        known = self._is_of(device, name)
        source = f"device {device.partition('.')[0]}" if known else source_of(address)
        wait = self._named.take(f"{source}\n{name}")
        if not wait and not known:
            wait = (
                self._addresses.take(source) or self._strangers.take("") or self._aimed.take(name)
            )
        if wait:
            raise too_fast(wait)
        return source

    def succeeded(self, source: str, name: str) -> str:
        """Forget the guesses of a login that succeeded; return a device cookie for the browser."""
        self._named.forget(f"{source}\n{name}")
        self._addresses.give_back(source)
        self._strangers.give_back("")
        self._aimed.give_back(name)
        nonce = self._draw(_NONCE)
        return f"{nonce}.{self._mark(nonce, name)}"

    def _is_of(self, device: str, name: str) -> bool:
        parts = device.split(".")
        return len(parts) == _PARTS and hmac.compare_digest(
            parts[1].encode(), self._mark(parts[0], name).encode()
        )

    def _mark(self, nonce: str, name: str) -> str:
        return hmac.new(self._key, f"{nonce}\n{name}".encode(), hashlib.sha256).hexdigest()
