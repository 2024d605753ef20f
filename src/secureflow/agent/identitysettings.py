"""Where people of an agent may log in: the identity providers of their organisation."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from secureflow.application.providersettings import (
    ClaimSettings,
    Line,
    ProviderSettings,
    Url,
    check_different,
    check_url,
)
from secureflow.kit.settings import Section
from secureflow.kit.text import Text

PersonRole = Literal["viewer", "decider", "owner-admin"]


class PersonRoles(ClaimSettings):
    """The roles of a provider's people: fixed ones, and those of a claim's values.

    Owner-admin is never fixed: it must be mapped from a value.
    """

    fixed: tuple[PersonRole, ...] = ()
    map: dict[str, PersonRole] = Field(default_factory=dict, max_length=10_000)

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if bool(self.claim) != bool(self.map) or not (self.fixed or self.map):
            raise ValueError(Text("write fixed, or both claim and map, or all three"))
        if "owner-admin" in self.fixed:
            raise ValueError(Text("owner-admin is only for people whom a value in map names"))
        return self


class FactorSettings(ClaimSettings):
    """By which of a claim's values the provider says that somebody showed a second factor."""

    claim: tuple[Line, ...] = Field(("amr",), min_length=1, max_length=8)
    values: Annotated[tuple[Line, ...], Field(min_length=1, max_length=100)]


class OwnProvider(ProviderSettings):
    """One OpenID Connect provider of this organisation.

    Args:
        redirect: how browsers reach the owner's page. The callback to register at the provider is
            `REDIRECT/oidc/NAME/callback`; without it people log in at the command line alone.
        max_age: the oldest login at the provider that counts, in seconds; any if left out.
        roles: what the claims mean, anew at each login.
        second_factor: by which claim the provider says that somebody showed one; none if left out.
    """

    redirect: Url | None = None
    max_age: Annotated[int, Field(ge=60, le=86_400)] | None = None
    roles: PersonRoles
    second_factor: FactorSettings | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.redirect is not None:
            check_url("redirect", self.redirect, plain=_is_here(self.redirect))
        return self

    @property
    def callback(self) -> str:
        """The redirect URI of this provider alone; empty without a page."""
        return f"{self.redirect.rstrip('/')}/oidc/{self.name}/callback" if self.redirect else ""


class OwnIdentitySettings(Section):
    """The identity providers at which people of this agent may log in."""

    oidc: tuple[OwnProvider, ...] = Field((), max_length=8)

    @field_validator("oidc")
    @classmethod
    def _different(cls, providers: tuple[OwnProvider, ...]) -> tuple[OwnProvider, ...]:
        check_different(providers, "name", "issuer")
        return providers


def _is_here(url: str) -> bool:
    """Tell whether a page is this machine's own, which needs no TLS (RFC 8252, section 8.3)."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
