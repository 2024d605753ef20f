"""Reference values of one technology: the accepted measured code, in the vendor's own terms.

A reference lists registers with the values that each may have, numbers that must be reached or
matched, and flags that must be set or unset. All of them must hold at once: evidence fits a
reference or it does not. Missing claims do not fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.attestation.claims import Claims
from secureflow.engines.attestation.evidence import TEES
from secureflow.kit.errors import SecureFlowError

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){1,64}")

Registers = tuple[tuple[str, tuple[str, ...]], ...]
Numbers = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Mismatch:
    """A mismatch: a part of the evidence, the claim's name, its value and the accepted values."""

    part: str
    name: str
    found: str
    accepted: str


@dataclass(frozen=True)
class Reference:
    """One accepted enclave.

    Args:
        tee: `sgx`, `tdx` or `sev-snp`.
        registers: (name, accepted hex values) of `Claims.registers`; at least one.
        exactly: (name, value) of `Claims.numbers`.
        at_least: (name, lowest value) of `Claims.numbers`.
        required: `Claims.flags` that must be set.
        refused: flags that must be unset.

    Raises:
        SecureFlowError: `policy_malformed`.
    """

    tee: str
    registers: Registers
    exactly: Numbers = ()
    at_least: Numbers = ()
    required: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = [value for _, accepted in self.registers for value in accepted]
        names = [name for part in (self.registers, self.exactly, self.at_least) for name, _ in part]
        sound = (
            self.tee in TEES
            and bool(self.registers)
            and all(accepted for _, accepted in self.registers)
            and all(map(_HEX.fullmatch, values))
            and all(map(_NAME.fullmatch, (*names, *self.required, *self.refused)))
            and all(type(n) is int and n >= 0 for _, n in (*self.exactly, *self.at_least))
        )
        if not sound:
            raise SecureFlowError(
                "policy_malformed",
                "A reference value of the appraisal policy is malformed.",
                "Correct the attestation section of the agent's configuration.",
                {"field": "references"},
            )

    def mismatch(self, claims: Claims) -> Mismatch | None:
        """Return the first claim that does not fit, or None."""
        for name, accepted in self.registers:
            found = claims.registers.get(name, "")
            if found not in accepted:
                return Mismatch("measurement", name, found or "missing", " or ".join(accepted))
        return self._number_mismatch(claims) or self._flag_mismatch(claims)

    def _number_mismatch(self, claims: Claims) -> Mismatch | None:
        for name, value in self.exactly:
            if claims.numbers.get(name) != value:
                return Mismatch("measurement", name, _number(claims, name), str(value))
        for name, lowest in self.at_least:
            if claims.numbers.get(name, -1) < lowest:
                return Mismatch("svn", name, _number(claims, name), f"{lowest} or more")
        return None

    def _flag_mismatch(self, claims: Claims) -> Mismatch | None:
        for name in self.required:
            if name not in claims.flags:
                return Mismatch("guest_policy", name, "not set", "set")
        for name in self.refused:
            if name in claims.flags:
                return Mismatch("guest_policy", name, "set", "not set")
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "tee": self.tee,
            "registers": {name: list(accepted) for name, accepted in self.registers},
            "exactly": dict(self.exactly),
            "at_least": dict(self.at_least),
            "required": list(self.required),
            "refused": list(self.refused),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reference:
        """Rebuild a reference from `as_json`."""
        return cls(
            value["tee"],
            tuple((name, tuple(accepted)) for name, accepted in value["registers"].items()),
            tuple(value["exactly"].items()),
            tuple(value["at_least"].items()),
            tuple(value["required"]),
            tuple(value["refused"]),
        )


def _number(claims: Claims, name: str) -> str:
    return str(claims.numbers.get(name, "missing"))
