"""Slowing logins down so that nobody locks others out.

At the agent all logins of the page come from one Unix user: it slows them down by the *source* that
the page names, and by name. A browser in which somebody logged in before has a *device cookie* for
that name (OWASP, Slow Down Online Guessing Attacks with Device Cookies): its logins are a source of
their own, so that others' guesses, from the same address too, do not slow them down. All others
have their address for a source, and are given less here, one by one and together, than the agent
allows the page: known devices always have room.

Logins at identity providers are counted where they begin: the agent keeps few that wait, and
strangers must not fill them. Their device cookie is of no name, and has an allowance of its own.

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
_KNOWN: Final = "device "
ADDRESS_BURST: Final = 10
"""Guesses of one address at all names at once; after that one in ten seconds."""
STRANGERS: Final = 40
"""Guesses at once of all addresses without a device cookie; after that one in two seconds."""
AIMED: Final = 20
"""As many of them at one name; after that one in 15 seconds: the agent allows more (`Logins`)."""

STARTS: Final = 5
"""Logins at providers that one address begins at once; after that one in 20 seconds. As many of
one known device; after that one in ten seconds."""
STRANGERS_STARTS: Final = 6
"""Those of all addresses; after that one in 12 seconds: half of what the agent allows the page."""
_ELSEWHERE: Final = "\nelsewhere"
"""In the place of a name, and no account's: names have one line."""


class Attempts:
    """Counts logins.

    Args:
        ticks: seconds of a monotonic clock.
        draw: returns random hex digits, for the key and the nonces.
    """

    def __init__(self, ticks: Ticks, draw: Callable[[int], str] = secrets.token_hex) -> None:
        self._key = draw(32).encode()
        self._draw = draw
        self._addresses = Throttle(1 / 10, ADDRESS_BURST, ticks)
        self._strangers = Throttle(1 / 2, STRANGERS, ticks)
        self._aimed = Throttle(1 / 15, AIMED, ticks)
        self._starts = Throttle(1 / 20, STARTS, ticks)
        self._known_starts = Throttle(1 / 10, STARTS, ticks)
        self._strangers_starts = Throttle(1 / 12, STRANGERS_STARTS, ticks)

    def begin(self, address: str, name: str, device: str) -> str:
        """Return the source of a login, for the agent.

        Args:
            address: of the client.
            name: of the account.
            device: the device cookie, or empty.

        Raises:
            SecureFlowError: `rate_limited`.
        """
        if self._is_of(device, name):
            return f"{_KNOWN}{device.partition('.')[0]}"
        source = source_of(address)
        if wait := (
            self._addresses.take(source) or self._strangers.take("") or self._aimed.take(name)
        ):
            raise too_fast(wait)
        return source

    def succeeded(self, source: str, name: str) -> str:
        """Count a login that succeeded as no guess; return a device cookie for the browser."""
        if not source.startswith(_KNOWN):  # whose logins took nothing of the strangers'
            self._addresses.give_back(source)
            self._strangers.give_back("")
            self._aimed.give_back(name)
        nonce = self._draw(_NONCE)
        return f"{nonce}.{self._mark(nonce, name)}"

    def begin_elsewhere(self, address: str, device: str) -> None:
        """Let a login at a provider begin.

        Args:
            address: of the client.
            device: its device cookie for providers, or empty.

        Raises:
            SecureFlowError: `rate_limited`.
        """
        if self._is_of(device, _ELSEWHERE):
            wait = self._known_starts.take(device)
        else:
            wait = self._starts.take(source_of(address)) or self._strangers_starts.take("")
        if wait:
            raise too_fast(wait)

    def succeeded_elsewhere(self, address: str) -> str:
        """Count a login at a provider that succeeded as none; return a device cookie for it.

        On the way back from another site the browser does not say whether it was known: what a
        known one gives back here is one more start of a stranger, for each login of a person.
        """
        self._starts.give_back(source_of(address))
        self._strangers_starts.give_back("")
        nonce = self._draw(_NONCE)
        return f"{nonce}.{self._mark(nonce, _ELSEWHERE)}"

    def _is_of(self, device: str, name: str) -> bool:
        parts = device.split(".")
        return len(parts) == _PARTS and hmac.compare_digest(
            parts[1].encode(), self._mark(parts[0], name).encode()
        )

    def _mark(self, nonce: str, name: str) -> str:
        return hmac.new(self._key, f"{nonce}\n{name}".encode(), hashlib.sha256).hexdigest()
