"""Where an agent is a witness for others, and who is one for it (docs/witnesses.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from secureflow.agent.consolesettings import address_of
from secureflow.domain.specs.base import Key, Slug
from secureflow.engines.ledger.notes import MAX_NAME, is_key_name
from secureflow.kit.addresses import is_loopback
from secureflow.kit.boundedhttp import MAX_URL, check_base
from secureflow.kit.hostport import MAX_ADDRESS
from secureflow.kit.settings import Section

MOST: Final = 64
"""Logs, witnesses, or members to talk to."""


def _key_name(name: str) -> str:
    if not is_key_name(name):
        message = "it takes a name without spaces and +"
        raise ValueError(message)
    return name


KeyName = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_key_name)]
Base = Annotated[str, Field(max_length=MAX_URL), AfterValidator(check_base)]


class WitnessedLog(Section):
    """Another log that this agent witnesses: its origin, and its key in base64."""

    origin: KeyName
    key: Key


class OtherWitness(Section):
    """Somebody who witnesses this platform's log.

    `url` is the prefix before `/add-checkpoint`, `key` its key in base64; `authority` a PEM file
    with the authority of its certificate, where the system does not know it.
    """

    name: KeyName
    key: Key
    url: Base
    authority: Path | None = None


class GossipPartner(Section):
    """The witness address of another member's agent; its key is that of the pinned charter."""

    url: Base
    authority: Path | None = None


class KeeperSettings(Section):
    """What this agent keeps for others: a place for anchors (docs/witnesses.md).

    `founders` are the members that open the place together; left out, all of the pinned charter.
    `window` is how many seconds shares may be disputed. Once it is opened, both stay. `lines` is
    for a keeper out of a backup: how many lines its file had, by the receipts of its members.
    """

    founders: Annotated[tuple[Slug, ...], Field(max_length=1000)] = ()
    window: Annotated[int, Field(ge=60, le=365 * 86_400)] = 7 * 86_400
    lines: Annotated[int, Field(ge=1, le=1 << 24)] | None = None


class WitnessSettings(Section):
    """The address at which this agent answers others, and those that it asks itself.

    `listen` opens it (left out, nothing is served); every address but this machine's own needs
    `tls_certificate` and `tls_key` (PEM). `per_minute` are the requests of one source address.
    It cosigns heads of its own platform's log and of those in `logs`. `witnesses` are asked for
    their cosignatures of this platform's log; with the members in `gossip` it compares heads
    without the centre; with `keeper` it keeps anchors of others.
    """

    listen: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS)] | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    logs: Annotated[tuple[WitnessedLog, ...], Field(max_length=MOST)] = ()
    witnesses: Annotated[tuple[OtherWitness, ...], Field(max_length=MOST)] = ()
    gossip: Annotated[dict[Slug, GossipPartner], Field(max_length=MOST)] = Field(
        default_factory=dict
    )
    keeper: KeeperSettings | None = None

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str | None) -> str | None:
        if listen is not None:
            address_of(listen)
        return listen

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            message = "a certificate and its key are given together: tls_certificate and tls_key"
            raise ValueError(message)
        if self.listen is None:
            if self.keeper is not None or self.logs:
                message = "who keeps or witnesses for others needs an address: listen"
                raise ValueError(message)
            return self
        host, _ = address_of(self.listen)
        if not is_loopback(host) and self.tls_certificate is None:
            message = "an address that other machines reach needs tls_certificate and tls_key"
            raise ValueError(message)
        names = [one.origin for one in self.logs]
        if len(set(names)) != len(names):
            message = "two logs have the same origin"
            raise ValueError(message)
        return self
