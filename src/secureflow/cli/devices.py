"""The device flow at the terminal: a program shows a code, a person approves it elsewhere."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from secureflow.cli.console import confirmed, moment, say
from secureflow.cli.proving import proven
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

if TYPE_CHECKING:
    from secureflow.sdk import Client
    from secureflow.sdk.views import Session

MAX_INTERVAL: Final = 60
"""Seconds between two questions at most, whatever the server asks for."""
_WAITING: Final = frozenset({"authorization_pending", "slow_down", "rate_limited", "unavailable"})


def by_device(connection: Client, url: str, sleep: Callable[[float], None] = time.sleep) -> Session:
    """Show a code, wait until a person has decided, and return the login.

    Raises:
        SecureFlowError: `access_denied`, `device_code_expired`.
    """
    host = shown(platform.node())[:40]
    codes = connection.devices.start(f"SecureFlow CLI on {host}")
    say(t("The code is {code}, until {until}.", code=codes.user_code, until=moment(codes.expires)))
    say(t("Where you are logged in to {url}: secureflow login approve {code}",
          url=url, code=codes.user_code))  # fmt: skip
    interval = codes.interval
    while True:
        interval = max(1, min(interval, MAX_INTERVAL))
        sleep(interval)
        try:
            return connection.fetch_device_login(codes.device_code)
        except SecureFlowError as error:
            if error.code not in _WAITING:
                raise
            told = error.details.get("interval")
            interval = told if isinstance(told, int) else interval


def decide(code: str, approve: bool, yes: bool) -> None:
    """Show who asks, and approve or deny it.

    Raises:
        SecureFlowError: `not_found` for a wrong or expired code, `not_confirmed`.
    """
    with client() as connection:
        device = connection.devices.get(code)
        name = shown(device.client)
        say(t("A program that calls itself {name!r} asks to be logged in as you.", name=name))
        say(t("It asked from {address} at {at}.",
              address=shown(device.address), at=moment(device.created)))  # fmt: skip
        if approve:
            say(t("Approve it only if you began this login yourself just now. Whoever sent you a "
                  "code, by mail or telephone, wants your account."))  # fmt: skip
            confirmed(t("Log it in with all that you may do?"), yes)
        proven(connection, lambda: connection.devices.decide(code, approve))
    say(t("It is logged in.") if approve else t("It is refused."))
