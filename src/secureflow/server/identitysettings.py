"""Settings of identity providers: who they are, and what their claims mean here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.texts import ONE_LINE
from secureflow.domain.users import Role
from secureflow.kit.settings import Section
from secureflow.kit.text import Text

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=255), ONE_LINE]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=512)]
Scope = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,64}$")]


class ClaimSettings(Section):
    """A claim by its name, or by the names that lead to it: `groups`, `[realm_access, roles]`."""

    claim: tuple[Line, ...] = Field((), max_length=8)

    @field_validator("claim", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


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


class OidcSettings(Section):
    """One OpenID Connect provider.

    Args:
        name: in the addresses of this centre; it never changes.
        title: on login pages; the name if empty.
        issuer: as the provider's description says, to the letter.
        client_id: of this centre there.
        client_secret_file: of mode 0600; none for a public client.
        scopes: asked for; `openid` is among them.
        redirect: how browsers reach this centre. The callback to register there is
            `REDIRECT/api/v1/oidc/NAME/callback`.
        hosts: of the provider's endpoints, besides the issuer's.
        ca: PEM file of the authorities of a private PKI.
        userinfo: whether claims are fetched from the userinfo endpoint too.
        provision: whether people get an account at their first login.
        organisation, roles: what the claims mean.
        loopback_http: whether plain http is allowed on this machine: for tests.
    """

    name: Name
    title: Annotated[str, StringConstraints(max_length=100), ONE_LINE] = ""
    issuer: Url
    client_id: Line
    client_secret_file: Path | None = None
    scopes: tuple[Scope, ...] = Field(("openid", "profile"), max_length=32)
    redirect: Url
    hosts: tuple[Line, ...] = Field((), max_length=16)
    ca: Path | None = None
    userinfo: bool = False
    provision: bool = False
    organisation: OrganisationSettings
    roles: RoleSettings
    loopback_http: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError(Text("scopes must include openid"))
        for name, url in (("issuer", self.issuer), ("redirect", self.redirect)):
            parts = urlsplit(url)
            if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
                raise ValueError(Text("{name} must be a URL without query", name=name))
            if parts.scheme != "https" and not self.loopback_http:
                raise ValueError(Text("{name} must be an https URL", name=name))
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
        for what in ("name", "issuer"):
            if len({getattr(one, what) for one in providers}) < len(providers):
                raise ValueError(Text("each provider has its own {what}", what=what))
        return providers
