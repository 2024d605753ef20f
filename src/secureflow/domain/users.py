"""People: users, their roles, and their tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a person may do; every role except platform admin applies within one organisation."""

    PLATFORM_ADMIN = "platform-admin"
    ORGANISATION_ADMIN = "organisation-admin"
    DATA_OWNER = "data-owner"
    DATA_SCIENTIST = "data-scientist"
    AUDITOR = "auditor"


@dataclass(frozen=True)
class User:
    """A person. `organisation` is empty only for people of the operator.

    `password` is an Argon2id hash and never leaves the server. Of an erased account, which is
    disabled for good, only id, organisation and roles are left: `name` is made of the id, in a form
    that no account can choose, and `erased` says when (unix seconds).
    `handed`: somebody else chose the password, and its owner has not changed it yet.
    """

    id: str
    name: str
    display: str
    organisation: str
    roles: tuple[Role, ...]
    password: str = field(repr=False)
    created: int
    disabled: bool = False
    erased: int | None = None
    handed: bool = False


class Scope(StrEnum):
    """What a token is good for; a token never allows more than its user's roles do."""

    ALL = "all"
    READ = "read"
    JOBS = "jobs"
    DATA = "data"
    PEOPLE = "people"
    ADMIN = "admin"
    SECOND_FACTOR = "second-factor"
    """To enrol one, and nothing else: of logins that are refused the rest until then."""


@dataclass(frozen=True)
class Token:
    """A bearer token of a user: only its SHA-256 is stored. Times in unix seconds.

    `request` identifies the request that made it, if that may be repeated. `used` is when it was
    last shown, to the minute; 0 for never. `family` is the login that it belongs to, if that is
    continued by refresh tokens. `proven` is when who holds it last proved who they are
    (`application.proofs`); 0 for never.
    """

    id: str
    user: str
    digest: str
    created: int
    expires: int
    label: str = ""
    request: str = ""
    scopes: tuple[Scope, ...] = (Scope.ALL,)
    used: int = 0
    family: str = ""
    proven: int = 0

    @property
    def scope(self) -> frozenset[Scope]:
        """The scopes as a set."""
        return frozenset(self.scopes)
