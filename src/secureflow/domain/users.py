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


@dataclass(frozen=True)
class Token:
    """A bearer token of a user: only its SHA-256 is stored. Times in unix seconds.

    `request` identifies the request that made it, if that may be repeated.
    """

    id: str
    user: str
    digest: str
    created: int
    expires: int
    label: str = ""
    request: str = ""
