"""Settings of an identity provider that the centre and an agent have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from secureflow.domain.texts import ONE_LINE
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


class ProviderSettings(Section):
    """One OpenID Connect provider.

    Args:
        name: in the addresses of who asks it; it never changes.
        title: on login pages; the name if empty.
        issuer: as the provider's description says, to the letter.
        client_id: of this process there.
        client_secret_file: of mode 0600; none for a public client.
        scopes: asked for; `openid` is among them.
        hosts: of the provider's endpoints, besides the issuer's.
        ca: PEM file of the authorities of a private PKI.
        proxy: through which the provider is reached; no variable of the environment names one.
        userinfo: whether claims are fetched from the userinfo endpoint too.
        provision: whether people get an account at their first login.
        loopback_http: whether plain http is allowed on this machine: for tests.
    """

    name: Name
    title: Annotated[str, StringConstraints(max_length=100), ONE_LINE] = ""
    issuer: Url
    client_id: Line
    client_secret_file: Path | None = None
    scopes: tuple[Scope, ...] = Field(("openid", "profile"), max_length=32)
    hosts: tuple[Line, ...] = Field((), max_length=16)
    ca: Path | None = None
    proxy: Url | None = None
    userinfo: bool = False
    provision: bool = False
    loopback_http: bool = False

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError(Text("scopes must include openid"))
        check_url("issuer", self.issuer, plain=self.loopback_http)
        return self

    @property
    def dialled(self) -> frozenset[str]:
        """The hosts that may be dialled, and to which people may be sent."""
        return frozenset({str(urlsplit(self.issuer).hostname), *map(str.lower, self.hosts)})


def check_url(name: str, url: str, *, plain: bool) -> None:
    """Refuse an address that is no plain https URL; `plain`: http is good enough.

    Raises:
        ValueError: which of the settings.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(Text("{name} must be a URL without query", name=name))
    if parts.scheme != "https" and not plain:
        raise ValueError(Text("{name} must be an https URL", name=name))


def check_different(providers: tuple[ProviderSettings, ...], *names: str) -> None:
    """Refuse providers that share one of these settings.

    Raises:
        ValueError: which.
    """
    for what in names:
        if len({getattr(one, what) for one in providers}) < len(providers):
            raise ValueError(Text("each provider has its own {what}", what=what))
