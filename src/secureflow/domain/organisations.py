"""Organisations, the agents that act for them, and the one-time tokens that enrol agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

AgentKind = Literal["agent", "enclave"]


@dataclass(frozen=True)
class Organisation:
    """A legal party. Its `id` is the slug that charters, rosters and certificates carry."""

    id: str
    name: str
    created: int
    disabled: bool = False


@dataclass(frozen=True)
class Enrolment:
    """A one-time permission to get a link certificate; only the secret's SHA-256 is stored.

    `request` identifies the request that made it, if that may be repeated.
    """

    id: str
    kind: AgentKind
    organisation: str
    digest: str
    created: int
    expires: int
    used: int | None = None
    request: str = ""


@dataclass(frozen=True)
class Agent:
    """An enrolled process: an organisation's agent or an enclave.

    `id` is its SPIFFE id, `party` the name that rosters use (the organisation's slug, or
    `enclave`), `key` its organisation's Ed25519 signing key (empty for an enclave), `address` where
    an enclave's uplink listens, `server` the server of this database that it connected to last.
    """

    id: str
    kind: AgentKind
    party: str
    organisation: str
    key: str
    created: int
    serial: str = ""
    revoked: int | None = None
    address: str = ""
    server: str = ""


def shut_out(organisation: str) -> SecureFlowError:
    """Return the error for callers from an organisation that the operator disabled."""
    return SecureFlowError(
        "organisation_disabled",
        Text(
            "The operator has disabled the organisation {organisation}.", organisation=organisation
        ),
        Text(
            "Ask the operator why. An administrator lets it in again: secureflow org "
            "enable {organisation}. Nothing needs to be enrolled again then.",
            organisation=organisation,
        ),
    )
