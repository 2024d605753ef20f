"""Where the owner's page is served, which its own process reads: see `agent.console`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict, SettingsError

from secureflow.kit.addresses import is_loopback
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import MAX_ADDRESS, parse_address
from secureflow.kit.settings import ProcessSettings, Section
from secureflow.kit.text import Text

_NAME: Final = re.compile(
    r"[A-Za-z0-9.-]{1,253}(:[1-9][0-9]{0,4})?|\[[0-9a-f:]+\](:[1-9][0-9]{0,4})?"
)


def address_of(listen: str) -> tuple[str, int]:
    """Return the numeric address and the port of `host:port`; port 0 picks a free one.

    Raises:
        ValueError: it is none, or a name: what is bound is an address of this machine.
    """
    host, _, port = listen.rpartition(":")
    try:
        found = parse_address(f"{host}:{1 if port == '0' else port}", "listen")
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else found.host)
    except (SecureFlowError, ValueError):
        message = "listen takes an address of this machine and a port, as 127.0.0.1:8765"
        raise ValueError(message) from None
    return str(address), int(port)


class ConsoleSettings(Section):
    """The owner's page (`secureflow agent console`).

    `listen` is its address: this machine alone by default, and any other only with a certificate
    and a name. `allowed_hosts` are the names, each with a port where browsers show another one than
    `listen` has, under which it answers beside its address: others are refused (DNS rebinding).
    `tls_certificate` is a PEM file with the chain, `tls_key` its private key.
    """

    listen: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS)] = "127.0.0.1:8765"
    allowed_hosts: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        address_of(listen)
        return listen

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for one in hosts:
            if not _NAME.fullmatch(one):
                raise ValueError(Text("{name} is no name of a host", name=one[:64]))
        return tuple(one.lower() for one in hosts)

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            message = "a certificate and its key are given together: tls_certificate and tls_key"
            raise ValueError(message)
        host, _ = address_of(self.listen)
        if not is_loopback(host) and self.tls_certificate is None:
            message = "an address that other machines reach needs tls_certificate and tls_key"
            raise ValueError(message)
        if not is_loopback(host) and not self.allowed_hosts:
            message = "an address that other machines reach needs its name in allowed_hosts"
            raise ValueError(message)
        return self

    @property
    def encrypted(self) -> bool:
        """Whether it is served over HTTPS."""
        return self.tls_certificate is not None


class OutsideSettings(ProcessSettings):
    """The same from the environment alone, for a Unix user who cannot read agent.yaml."""

    model_config = SettingsConfigDict(env_prefix="SECUREFLOW_AGENT__")

    console: ConsoleSettings = ConsoleSettings()


def console_settings(given: Mapping[str, Any]) -> ConsoleSettings:
    """Return the settings of values that somebody typed.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    try:
        return ConsoleSettings(**given)
    except ValidationError as error:
        raise invalid(error) from error


def outside_settings() -> ConsoleSettings:
    """Return the settings that the environment alone gives.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    try:
        return OutsideSettings().console
    except (ValidationError, SettingsError) as error:
        raise invalid(error) from error


def invalid(error: ValidationError | SettingsError) -> SecureFlowError:
    """Return the error of settings that are not valid: of the first of them."""
    reason, field = "a value is malformed", "console"
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        reason = str(first.get("ctx", {}).get("error", first["msg"]))
        field = ".".join(map(str, first["loc"])) or field
    return SecureFlowError(
        "invalid_settings",
        Text("The owner's page cannot be served: {field}: {reason}.", field=field, reason=reason),
        "See `console` in configs/agent.example.yaml, and docs/owners-page.md.",
    )
