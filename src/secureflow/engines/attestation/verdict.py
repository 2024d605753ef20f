"""The verdict: an agent's conclusion about an enclave, how long it is valid, and how sure it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from secureflow.kit.canonical import digest

Tier = Literal["hardware", "SIMULATED"]
Status = Literal["affirming", "warning"]

_TEE_NAMES = {"sgx": "Intel SGX", "tdx": "Intel TDX", "sev-snp": "AMD SEV-SNP"}


@dataclass(frozen=True)
class Verdict:
    """An accepted enclave (a refusal is an error, never a verdict).

    Args:
        status: `affirming`, or `warning` if the policy accepted an exception.
        tier: `hardware` or `SIMULATED`.
        simulated: the TEE protects nothing from the operator.
        tee: technology.
        reasons: what people should know, one sentence each.
        policy: digest of the policy that accepted.
        evidence: digest of the evidence, to which seals are bound.
        measurement: identity of the code.
        tcb_status: state of the platform.
        advisories: advisories that apply to it.
        job: the job for which the keys are.
        spec: its spec digest.
        hpke: base64 HPKE key to seal to.
        release: base64 Ed25519 key that signs releases.
        nonce: the nonce that was answered.
        issued: Unix seconds.
        expires: Unix seconds; then fresh evidence is needed.
    """

    status: Status
    tier: Tier
    simulated: bool
    tee: str
    reasons: tuple[str, ...]
    policy: str
    evidence: str
    measurement: str
    tcb_status: str
    advisories: tuple[str, ...]
    job: str
    spec: str
    hpke: str
    release: str
    nonce: str
    issued: int
    expires: int

    @property
    def title(self) -> str:
        """A short name for tables: `SIMULATED SGX …` or `Intel SGX …`."""
        name = f"SIMULATED {self.tee.upper()}" if self.simulated else _TEE_NAMES[self.tee]
        return f"{name} {self.measurement}"

    @property
    def text(self) -> str:
        """One line for people and logs; for a simulated TEE it begins with SIMULATED."""
        return f"{self.title} ({self.tcb_status}): {' '.join(self.reasons)}".strip()

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        value = asdict(self)
        return {**value, "reasons": list(self.reasons), "advisories": list(self.advisories)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """Rebuild this agent's own stored verdict."""
        known = {field.name: value[field.name] for field in fields(cls)}
        lists = {name: tuple(value[name]) for name in ("reasons", "advisories")}
        return cls(**{**known, **lists})

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the JCS form."""
        return digest(self.as_json())
