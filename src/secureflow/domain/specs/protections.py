"""The ways to protect what parties contribute, as far as a spec alone tells what they mean.

What they do stands in `engines.run.protections`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

ProtectionName = Literal["sealed", "secagg", "sealed+secagg"]


@dataclass(frozen=True)
class Traits:
    """What a protection means.

    Args:
        name: what a spec says in `protection`.
        enclave: an attested enclave takes part, to which contributions are sealed.
        masks: contributions are masked, so that only their sum can be read (SecAgg).
    """

    name: str
    enclave: bool
    masks: bool


NONE: Final = Traits("none", enclave=False, masks=False)
"""For kinds of job whose parties contribute nothing that could be read."""
SEALED: Final = Traits("sealed", enclave=True, masks=False)
SECAGG: Final = Traits("secagg", enclave=False, masks=True)
SEALED_SECAGG: Final = Traits("sealed+secagg", enclave=True, masks=True)
_BY_NAME: Final[Mapping[str, Traits]] = {
    one.name: one for one in (NONE, SEALED, SECAGG, SEALED_SECAGG)
}


class Protected(Protocol):
    """What names its protection."""

    @property
    def protection(self) -> str:
        """Its name."""


def traits_of(spec: Protected) -> Traits:
    """Return what the protection of a checked spec means."""
    return _BY_NAME[spec.protection]


def contributes(spec: Protected) -> bool:
    """Tell whether parties contribute anything to a job: something protects it then."""
    return traits_of(spec) != NONE


def stored_traits(spec: Mapping[str, Any]) -> Traits:
    """Return it of a stored spec, which may be another version's."""
    return _BY_NAME.get(str(spec.get("protection")), SEALED)
