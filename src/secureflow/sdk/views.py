"""API objects for which the domain's own classes hold more (or less) than a client may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from secureflow.kit.unpicklable import Unpicklable


@dataclass(frozen=True)
class Account:
    """A user as others see it; times in unix seconds."""

    id: str
    name: str
    organisation: str = ""
    roles: tuple[str, ...] = ()
    display: str = ""
    created: int = 0
    disabled: bool = False
    erased: int | None = None


@dataclass(frozen=True)
class Session(Unpicklable):
    """A login: the bearer token, its expiry (unix seconds) and its user.

    `refresh` continues it, until `refresh_expires` if it is not used; "" for a login without one.
    """

    token: str = field(repr=False)
    expires: int
    user: Account
    refresh: str = field(default="", repr=False)
    refresh_expires: int = 0


@dataclass(frozen=True)
class Proof:
    """A proof of identity that was taken; it is good until `until` (unix seconds)."""

    until: int


@dataclass(frozen=True)
class DeviceCodes(Unpicklable):
    """A program's own secret, the code for people, its expiry, and the interval of questions."""

    device_code: str = field(repr=False)
    user_code: str
    expires: int
    interval: int = 5


@dataclass(frozen=True)
class AskingDevice:
    """A program that asks to be logged in: its own name, and where it asked from."""

    id: str
    client: str
    address: str
    created: int = 0
    expires: int = 0


@dataclass(frozen=True)
class FactorState:
    """Whether the caller has a second factor, since when, and whether their role needs one."""

    enrolled: bool
    since: int = 0
    recovery_left: int = 0
    required: bool = False


@dataclass(frozen=True)
class Enrolling(Unpicklable):
    """The secret of a second factor (base32), and its address for an authenticator app."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True)
class RecoveryCodes(Unpicklable):
    """Codes for the loss of a second factor, each for one login."""

    recovery: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class IssuedToken(Unpicklable):
    """A new bearer token of the caller; `token` is shown only once."""

    id: str
    expires: int = 0
    label: str = ""
    created: int = 0
    scopes: tuple[str, ...] = ("all",)
    used: int = 0
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class BrowserSession:
    """A session of the caller in a browser; times in unix seconds.

    `current` says whether the request came with it, which is never so for a token's.
    """

    id: str
    method: str = ""
    address: str = ""
    created: int = 0
    used: int = 0
    expires: int = 0
    current: bool = False


@dataclass(frozen=True)
class Identity:
    """A person at an identity provider who logs in to an account; times in unix seconds."""

    id: str
    provider: str = ""
    issuer: str = ""
    subject: str = ""
    created: int = 0


@dataclass(frozen=True)
class IssuedEnrolment(Unpicklable):
    """A new one-time enrolment token; `token` is shown only once."""

    id: str
    kind: str = "agent"
    organisation: str = ""
    created: int = 0
    expires: int = 0
    used: int | None = None
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class PartyLink:
    """What the centre knows about a party's link."""

    party: str
    connected: bool
    last_progress: float = 0.0
    version: str = ""
    log_size: int = 0
    address: str = ""
    tee: str = ""
    measurement: str = ""
    clock_ahead: int | None = None
    server: str = ""
    replaced: int = 0


@dataclass(frozen=True)
class PublishedCharter:
    """A charter as the server distributes it, with its signatures and fingerprint words.

    The words are the server's own claim; compare those that your agent computes.
    """

    charter: dict[str, Any]
    signatures: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    words: str = ""
    digits: str = ""


@dataclass(frozen=True)
class DryRun:
    """The result of a dry run: the spec's digest, the spec, notes for people, and details.

    `texts` has, under `notes`, the template and facts of each note, or None; `preview` says who
    takes part and learns what, and what the job costs.
    """

    digest: str
    spec: dict[str, Any]
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)
    preview: dict[str, Any] | None = None


@dataclass(frozen=True)
class DraftCheck:
    """What is known of a draft: `problems` with the `field` and the `message` of each, and as much
    of a dry run as can be told. Without problems it can be submitted.
    """

    problems: tuple[dict[str, Any], ...] = ()
    digest: str = ""
    spec: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    preview: dict[str, Any] | None = None
    texts: dict[str, Any] = field(default_factory=dict)
