"""Settings of identity providers: who they are, and what their claims mean here."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from secureflow.application.providersettings import (
    ClaimSettings,
    Line,
    ProviderSettings,
    Url,
    check_different,
    check_url,
)
from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.texts import ONE_LINE
from secureflow.domain.users import Role
from secureflow.kit.settings import Section
from secureflow.kit.text import Text


class OrganisationSettings(ClaimSettings):
    """The organisation of a provider's people: a fixed one, or that of a claim's value."""

    fixed: Annotated[str, StringConstraints(max_length=128), ONE_LINE] = ""
    map: dict[str, Line] = Field(default_factory=dict, max_length=10_000)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.fixed) == bool(self.claim) or bool(self.claim) != bool(self.map):
            raise ValueError(Text("write either fixed, or both claim and map"))
        return self


class RoleSettings(ClaimSettings):
    """The roles of a provider's people: fixed ones, and those of a claim's values.

    Platform-admin is never fixed: it must be mapped from a value.
    """

    fixed: tuple[Role, ...] = ()
    map: dict[str, Role] = Field(default_factory=dict, max_length=10_000)

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if bool(self.claim) != bool(self.map) or not (self.fixed or self.map):
            raise ValueError(Text("write fixed, or both claim and map, or all three"))
        if Role.PLATFORM_ADMIN in self.fixed:
            raise ValueError(Text("platform-admin is only for people whom a value in map names"))
        return self


class OidcSettings(ProviderSettings):
    """One OpenID Connect provider.

    Args:
        redirect: how browsers reach this centre. The callback to register there is
            `REDIRECT/api/v1/oidc/NAME/callback`.
        organisation, roles: what the claims mean.
    """

    redirect: Url
    organisation: OrganisationSettings
    roles: RoleSettings

    @model_validator(mode="after")
    def _complete(self) -> Self:
        check_url("redirect", self.redirect, plain=self.loopback_http)
        return self

    @property
    def callback(self) -> str:
        """The redirect URI of this provider alone."""
        return f"{self.redirect.rstrip('/')}/api/v1/oidc/{self.name}/callback"

    @property
    def mapping(self) -> ClaimMapping:
        """What the claims mean."""
        return ClaimMapping(
            organisation=self.organisation.fixed,
            organisation_claim=self.organisation.claim,
            organisations=self.organisation.map,
            roles=self.roles.fixed,
            roles_claim=self.roles.claim,
            role_names=self.roles.map,
        )


class IdentitySettings(Section):
    """Where people may log in besides with a password here."""

    oidc: tuple[OidcSettings, ...] = Field((), max_length=32)

    @field_validator("oidc")
    @classmethod
    def _different(cls, providers: tuple[OidcSettings, ...]) -> tuple[OidcSettings, ...]:
        check_different(providers, "name", "issuer")
        return providers
