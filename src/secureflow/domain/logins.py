"""Logins of programs and second factors, as they are stored: no secret is stored in clear."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class TokenFamily:
    """A login that is continued by refresh tokens. Times in unix seconds.

    Args:
        user: who logged in.
        expires: when it ends if it is not continued.
        ends: when it ends at the latest.
        turn: the number of the refresh token that may be used next.
        turned: when the one before was used.
        label: how it began, for its owner's list.
    """

    id: str
    user: str
    created: int
    expires: int
    ends: int
    turn: int = 1
    turned: int = 0
    label: str = ""


class DeviceState(StrEnum):
    """What was decided about a device that asks to be logged in."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True)
class Device:
    """A program that asks to be logged in by somebody elsewhere (RFC 8628).

    Args:
        digest: SHA-256 of the secret that the program holds.
        code: a keyed digest of the code that a person types.
        client: the program's own name, whatever it claims.
        address: where the request came from.
        interval: seconds between two questions for the outcome.
        asked: when it last asked.
        user: who approved it.
        block: the network of that address, as shares of strangers are counted.
    """

    id: str
    digest: str
    code: str
    client: str
    address: str
    created: int
    expires: int
    interval: int = 5
    asked: int = 0
    state: DeviceState = DeviceState.PENDING
    user: str = ""
    block: str = ""


@dataclass(frozen=True)
class LoginPlaces:
    """From where a person has logged in, the latest last; `id` is the user's.

    Args:
        seen: keyed digests of network and program: no address is stored.
    """

    id: str
    seen: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class SecondFactor:
    """A person's second factor: time-based one-time passwords (RFC 6238). `id` is the user's.

    Args:
        sealed: the secret, encrypted under a key that is not in the database.
        created: unix seconds.
        confirmed: when a code proved that it works; until then it does not count.
        last: the time step of the last code that was used: none up to it counts again.
        recovery: SHA-256 of the recovery codes that are not used.
    """

    id: str
    sealed: str = field(repr=False)
    created: int
    confirmed: int | None = None
    last: int = 0
    recovery: tuple[str, ...] = field(default=(), repr=False)
