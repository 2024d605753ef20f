"""The ways to protect contributions, as far as a spec defines them.

Their implementation is in `engines.run.protections`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

ProtectionName = Literal["sealed", "secagg", "sealed+secagg"]


@dataclass(frozen=True)
class Traits:
    """The properties of a protection.

    Args:
        name: the `protection` in a spec.
        enclave: contributions are sealed to an attested enclave.
        masks: contributions are masked, so that only their sum can be read (SecAgg).
    """

    name: str
    enclave: bool
    masks: bool


NONE: Final = Traits("none", enclave=False, masks=False)
"""For kinds of job whose parties contribute nothing readable."""
PEERS: Final = Traits("peers", enclave=False, masks=False)
"""For kinds whose parties compute with each other, over channels that end at their agents."""
SEALED: Final = Traits("sealed", enclave=True, masks=False)
SECAGG: Final = Traits("secagg", enclave=False, masks=True)
SEALED_SECAGG: Final = Traits("sealed+secagg", enclave=True, masks=True)
_BY_NAME: Final[Mapping[str, Traits]] = {
    one.name: one for one in (NONE, PEERS, SEALED, SECAGG, SEALED_SECAGG)
}


class Protected(Protocol):
    """Anything with a `protection`."""

    @property
    def protection(self) -> str:
        """The name of the protection."""


def traits_of(spec: Protected) -> Traits:
    """Return the properties of a checked spec's protection."""
    return _BY_NAME[spec.protection]


def contributes(spec: Protected) -> bool:
    """Tell whether parties contribute anything to a sum, which needs protection."""
    traits = traits_of(spec)
    return traits.enclave or traits.masks


def between_peers(spec: Protected) -> bool:
    """Tell whether parties compute with each other, over channels that end at their agents."""
    return traits_of(spec) == PEERS


def stored_traits(spec: Mapping[str, Any]) -> Traits:
    """Return those of a stored spec, which may be from another version."""
    return _BY_NAME.get(str(spec.get("protection")), SEALED)
