"""The appraisal policy: an agent's own reference values, never the server's.

Every field decides; a missing value is a refusal, not a pass by default (Trustee issue 860, where
unregistered reference values were accepted, is the case to avoid).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from secureflow.engines.attestation.evidence import TEES
from secureflow.engines.attestation.references import Reference
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_LISTS: Final = {
    "allowed_tees": re.compile("|".join(sorted(TEES))),
    "measurements": re.compile(r"[0-9a-f]{64,96}(?::[0-9a-f]{96}){0,4}"),
    "signers": re.compile(r"[0-9a-f]{64,96}"),
    "tcb_statuses": re.compile(r"[A-Za-z]{1,64}"),
    "denied_advisories": re.compile(r"[A-Z0-9-]{1,64}"),
    "allowed_platform": re.compile(r"[a-z_]{1,32}"),
    "trust_roots": re.compile(r"[0-9a-f]{64}"),
}
_FLAGS: Final = ("allow_debug", "allow_simulated")
_NUMBERS: Final = {"min_svn": 65_535, "max_age_s": 31 * 86_400}


@dataclass(frozen=True)
class AppraisalPolicy:
    """What an agent accepts in an enclave.

    Args:
        measurements: accepted identities of the code, as in `Claims.measurement`.
        references: accepted enclaves in the vendor's terms. Without them and measurements: refuse.
        allowed_tees: accepted technologies.
        signers: accepted signers; empty = any signer of an accepted measurement.
        min_svn: lowest security version.
        tcb_statuses: accepted platform states; `OutOfDate` and the like only if listed.
        denied_advisories: advisories that refuse even an accepted state.
        allowed_platform: facts of `Claims.platform` that may be true.
        trust_roots: accepted roots (hex SHA-256 of the DER); empty = those that the verifier pins.
        max_age_s: longest time from the nonce to its evidence, and longest life of a verdict.
        allow_debug: accept enclaves that the host can read; for development only.
        allow_simulated: accept a SIMULATED TEE, which protects nothing from the operator.
    """

    measurements: tuple[str, ...] = ()
    allowed_tees: tuple[str, ...] = ("sgx", "tdx", "sev-snp")
    signers: tuple[str, ...] = ()
    min_svn: int = 0
    tcb_statuses: tuple[str, ...] = ("UpToDate",)
    denied_advisories: tuple[str, ...] = ()
    allowed_platform: tuple[str, ...] = ()
    trust_roots: tuple[str, ...] = ()
    max_age_s: int = 86_400
    allow_debug: bool = False
    allow_simulated: bool = False
    references: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        for name, shape in _LISTS.items():
            values = getattr(self, name)
            if not isinstance(values, tuple) or not all(
                isinstance(value, str) and shape.fullmatch(value) for value in values
            ):
                raise _malformed(name)
        for name, largest in _NUMBERS.items():
            if type(getattr(self, name)) is not int or not 0 <= getattr(self, name) <= largest:
                raise _malformed(name)
        if not all(isinstance(getattr(self, name), bool) for name in _FLAGS):
            raise _malformed("allow_debug or allow_simulated")
        if not all(isinstance(one, Reference) for one in self.references):
            raise _malformed("references")

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in plain.items()}
        return plain | {"references": [one.as_json() for one in self.references]}

    @classmethod
    def from_json(cls, value: Any) -> AppraisalPolicy:
        """Read a policy file's content; unknown fields are refused.

        Raises:
            SecureFlowError: `policy_malformed`.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(value, Mapping) or not value.keys() <= known:
            raise _malformed("it has unknown fields, or is not an object")
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items()
        }
        try:
            given["references"] = tuple(map(Reference.from_json, given.get("references", ())))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _malformed("references") from error
        return cls(**given)

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the JCS form."""
        return digest(self.as_json())


def _malformed(field: str) -> SecureFlowError:
    return SecureFlowError(
        "policy_malformed",
        Text("The appraisal policy is malformed: {field}.", field=field),
        "Correct the attestation section of the agent's configuration.",
        {"field": field},
    )
