"""Login through an identity provider (OpenID Connect): who somebody is there, and here.

A person is known by issuer and subject (`iss`, `sub`) and by nothing else: names and e-mail
addresses are given to other people later (OpenID Connect Core 1.0, section 5.7). What a person may
do here follows from configured claims, anew at each login.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from secureflow.domain.users import Role
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PENDING_SECONDS: Final = 600
"""How long a login may take at the provider."""
MAX_SUBJECT: Final = 255
"""Most characters of a subject (OpenID Connect Core 1.0, section 2: ASCII)."""
MAX_VALUES: Final = 1000
"""Most values of a claim that are read."""
MAX_VALUE: Final = 256
"""Most characters of a claim's value: longer ones map to nothing."""
MAX_NEXT: Final = 512
"""Most characters of the path to which a login leads."""

Path = tuple[str, ...]
"""Where a claim is: its name, and names inside it."""

_GIVEN: Final = re.compile(r"[\x21-\x7e]*")
_LOCAL: Final = re.compile(r"/[\x20-\x5b\x5d-\x7e]*")
_SUBJECT: Final = re.compile(rf"[\x20-\x7e]{{1,{MAX_SUBJECT}}}")
_UNNAMED: Final = re.compile(r"[^a-z0-9._@-]+")
_DECODINGS: Final = 5


@dataclass(frozen=True)
class Identity:
    """A person at a provider, bound to one account. Times in unix seconds."""

    id: str
    user: str
    provider: str
    issuer: str
    subject: str
    created: int


@dataclass(frozen=True)
class PendingLogin:
    """A login that waits for the browser to come back from the provider.

    Args:
        id: digest of the state, which only the browser has.
        provider: whose answer is awaited.
        browser: digest of the cookie of the browser that started it.
        next: the local path to which it leads.
        created, expires: unix seconds.
        user: the account to which the identity will be bound; empty for a login.
        access: the session or token with which its owner began that, by id.
        fresh: whether the person must prove anew who they are, at the provider.
        block: the network of who started it, as shares of strangers are counted.
    """

    id: str
    provider: str
    browser: str
    next: str
    created: int
    expires: int
    user: str = ""
    access: str = ""
    fresh: bool = False
    block: str = ""


@dataclass(frozen=True)
class Standing:
    """What a person is here: organisation ("" for the operator) and roles."""

    organisation: str
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class ClaimMapping:
    """From claims to organisation and roles.

    Args:
        organisation: the one of everyone at this provider; or "" and
        organisation_claim, organisations: the claim and what its values mean.
        roles: those of everyone at this provider, never platform-admin.
        roles_claim, role_names: the claim and what its values mean besides.
    """

    organisation: str = ""
    organisation_claim: Path = ()
    organisations: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[Role, ...] = ()
    roles_claim: Path = ()
    role_names: Mapping[str, Role] = field(default_factory=dict)

    @property
    def reach(self) -> frozenset[str]:
        """The organisations whose people may come from this provider; "" is the operator."""
        operator = {""} if Role.PLATFORM_ADMIN in self.role_names.values() else set()
        own = {self.organisation} if self.organisation else set(self.organisations.values())
        return frozenset(own | operator)

    def standing(self, claims: Mapping[str, Any]) -> Standing:
        """Return what verified claims make of a person.

        Who is mapped to platform-admin is that only: the operator's people belong to no
        organisation.

        Raises:
            SecureFlowError: `identity_refused` if they map to no role, or to no organisation or
                several.
        """
        named = {self.role_names.get(one) for one in values_at(claims, self.roles_claim)}
        named |= set(self.roles)
        roles = tuple(role for role in Role if role in named)
        if Role.PLATFORM_ADMIN in roles:
            return Standing("", (Role.PLATFORM_ADMIN,))
        if not roles:
            raise refused("the provider names no group that has a role here")
        return Standing(self._organisation(claims), roles)

    def _organisation(self, claims: Mapping[str, Any]) -> str:
        if self.organisation:
            return self.organisation
        values = values_at(claims, self.organisation_claim)
        found = {self.organisations[one] for one in values if one in self.organisations}
        if len(found) > 1:
            raise refused("the provider names several organisations")
        if not found:
            raise refused("the provider names no organisation that is known here")
        return found.pop()


def values_at(claims: Mapping[str, Any], path: Path) -> list[str]:
    """Return the strings at a claim's place; of a list, those at the rest of it in each element.

    `("realm_access", "roles")` finds Keycloak's realm roles, `("roles", "name")` the names in
    Casdoor's list of objects.
    """
    found = list(_at(claims, path)) if path else []
    return [one for one in found[:MAX_VALUES] if len(one) <= MAX_VALUE]


def _at(value: Any, path: Path) -> Iterator[str]:
    if isinstance(value, list):
        for one in value[:MAX_VALUES]:
            if not isinstance(one, list):
                yield from _at(one, path)
    elif path and isinstance(value, Mapping):
        yield from _at(value.get(path[0]), path[1:])
    elif not path and isinstance(value, str):
        yield value


def identity_id(issuer: str, subject: str) -> str:
    """Return the id of a person at a provider: one per issuer and subject."""
    return f"idn_{digest([issuer, subject])}"


def secret_digest(secret: str) -> str:
    """Return the SHA-256 by which a state or a browser's cookie is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def derived_secret(browser: str, state: str, use: str) -> str:
    """Return 43 characters that only the browser's secret yields, for one login and use."""
    mac = hmac.new(browser.encode(), f"{use}\n{state}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def valid_subject(value: object) -> bool:
    """Tell whether a value can be a subject."""
    return isinstance(value, str) and _SUBJECT.fullmatch(value) is not None


def local_path(text: str) -> str:
    """Return a path of this site to which a login may lead; anything else is refused.

    However often a proxy or page decodes it, it has no host, no backslash, no empty segment (`//`
    starts a host) and no dot segment (which could make one).

    Raises:
        SecureFlowError: `invalid_next`.
    """
    seen = text if _GIVEN.fullmatch(text) else ""
    for _ in range(_DECODINGS):
        if not _local(seen):
            break
        decoded = unquote(seen, errors="strict") if _decodable(seen) else ""
        if decoded == seen:
            return text
        seen = decoded
    raise SecureFlowError(
        "invalid_next",
        "The login may lead only to a path of this site.",
        Text(
            "Give a path that starts with one slash, of at most {most} characters: /jobs.",
            most=MAX_NEXT,
        ),
    )


def _local(text: str) -> bool:
    if len(text) > MAX_NEXT or not _LOCAL.fullmatch(text):
        return False
    segments = re.split(r"[?#]", text, maxsplit=1)[0].split("/")[1:]
    return not any(one in {".", ".."} for one in segments) and "" not in segments[:-1]


def _decodable(text: str) -> bool:
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def account_name(claims: Mapping[str, Any], fallback: str) -> str:
    """Return a name for a new account from what the provider calls the person."""
    given = claims.get("preferred_username")
    text = given[:MAX_VALUE].lower() if isinstance(given, str) else ""
    return _UNNAMED.sub("-", text).strip("._@-")[:48] or fallback


def refused(reason: str) -> SecureFlowError:
    """Return the error for somebody whom the provider knows and who has no business here."""
    return SecureFlowError(
        "identity_refused",
        Text("You cannot be logged in: {reason}.", reason=reason),
        "Tell the reason to the administrator of your organisation, or of the provider, who sees "
        "your groups there.",
    )
