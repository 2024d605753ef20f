"""Evidence: what an enclave shows about itself, and what it binds to its keys.

`report_data = SHA-384(JCS(runtime_data)) ‖ 16 zero bytes` (the rule of CoCo Trustee), with
`runtime_data = {nonce, hpke, suite, release, job, spec}`: the verifier's nonce, the enclave's
HPKE key for this job and its suite, the key that signs releases, the job and the spec.
Everything here is a prover's claim until `appraise` has passed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.kit.canonical import b64decode, b64encode, canonical_bytes, digest, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_EVIDENCE: Final = 256 * 1024
MAX_BLOB: Final = 64 * 1024
SUITE: Final = "MLKEM768_X25519/HKDF-SHA256/AES-256-GCM"
"""The only HPKE suite (RFC 9180 names) with which updates are sealed."""
TEES: Final = frozenset({"sgx", "tdx", "sev-snp"})
FORMATS: Final = frozenset({"dcap", "snp-report"})

_FIELDS: Final = {"tee", "format", "blob", "collateral", "runtime_data", "collected_at"}
_RUNTIME: Final = {
    "nonce": re.compile(r"[0-9a-f]{64}"),
    "hpke": re.compile(r"[A-Za-z0-9+/]{1,4096}={0,2}"),
    "suite": re.compile(r"[A-Za-z0-9_/+-]{1,64}"),
    "release": re.compile(r"[A-Za-z0-9+/]{43}="),
    "job": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}"),
    "spec": re.compile(r"[0-9a-f]{64}"),
}


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence.

    Args:
        tee: `sgx`, `tdx` or `sev-snp`.
        format: `dcap` (an SGX or TDX quote) or `snp-report`.
        blob: the quote or report.
        collateral: vendor-signed material stapled to it (JSON object), or None.
        runtime_data: what `report_data` covers.
        collected_at: Unix seconds by the prover's own clock; informative only.
    """

    tee: str
    format: str
    blob: bytes
    collateral: Mapping[str, Any] | None
    runtime_data: Mapping[str, str]
    collected_at: int

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "tee": self.tee,
            "format": self.format,
            "blob": b64encode(self.blob),
            "collateral": None if self.collateral is None else dict(self.collateral),
            "runtime_data": dict(self.runtime_data),
            "collected_at": self.collected_at,
        }

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the JCS form, which seals and ledger leaves name."""
        return digest(self.as_json())


def runtime_data(
    *, nonce: str, hpke: str, release: str, job: str, spec: str, suite: str = SUITE
) -> dict[str, str]:
    """Return the runtime data that evidence binds."""
    return {
        "nonce": nonce,
        "hpke": hpke,
        "suite": suite,
        "release": release,
        "job": job,
        "spec": spec,
    }


def report_data(runtime: Mapping[str, Any]) -> bytes:
    """Return the 64 bytes that the hardware signs for this runtime data."""
    return hashlib.sha384(canonical_bytes(dict(runtime))).digest() + bytes(16)


def parse_evidence(value: Any) -> Evidence:
    """Read foreign evidence, as JSON bytes of at most 256 KiB or already parsed.

    Raises:
        SecureFlowError: `evidence_malformed`.
    """
    try:
        if isinstance(value, bytes | str):
            value = parse_json(value, MAX_EVIDENCE)
        elif len(canonical_bytes(value)) > MAX_EVIDENCE:
            raise _malformed(
                Text("it is longer than {max_evidence} bytes", max_evidence=MAX_EVIDENCE)
            )
        return _evidence(value)
    except SecureFlowError as error:
        if error.code == "evidence_malformed":
            raise
        raise _malformed(error.message) from error


def _evidence(value: Any) -> Evidence:
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise _malformed(Text("its fields must be {fields}", fields=", ".join(sorted(_FIELDS))))
    for name, known in (("tee", TEES), ("format", FORMATS)):
        if not isinstance(value[name], str) or value[name] not in known:
            raise _malformed(
                Text("{name} must be one of {known}", name=name, known=", ".join(sorted(known)))
            )
    if not isinstance(value["blob"], str):
        raise _malformed("blob must be base64 text")
    if not isinstance(value["collateral"], dict | None):
        raise _malformed("collateral must be an object or null")
    if type(value["collected_at"]) is not int or not 0 <= value["collected_at"] < 2**40:
        raise _malformed("collected_at must be a Unix time")
    return Evidence(
        value["tee"],
        value["format"],
        b64decode(value["blob"], 2 * MAX_BLOB),
        value["collateral"],
        _runtime(value["runtime_data"]),
        value["collected_at"],
    )


def _runtime(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or value.keys() != _RUNTIME.keys():
        raise _malformed(
            Text(
                "the fields of runtime_data must be {runtime}", runtime=", ".join(sorted(_RUNTIME))
            )
        )
    for name, shape in _RUNTIME.items():
        if not isinstance(value[name], str) or not shape.fullmatch(value[name]):
            raise _malformed(Text("runtime_data.{name}", name=name))
    return value


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "evidence_malformed",
        Text("The enclave's evidence is malformed: {reason}.", reason=reason),
        "Ask the operator which enclave version runs; nothing was sent to it.",
        {"stage": "authentic", "leg": "format"},
    )
