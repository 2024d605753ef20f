"""The SEV-SNP attestation report as bytes (AMD 56860, "SEV-SNP Firmware ABI", table 23).

Only parsing: nothing here is authentic until `SnpVerifier` has checked the signature.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from secureflow.engines.attestation import not_authentic
from secureflow.kit.text import Text

REPORT_LENGTH: Final = 0x4A0
SIGNED_LENGTH: Final = 0x2A0
VERSIONS: Final = range(2, 6)

_ECDSA_P384_SHA384: Final = 1
_COMPONENT: Final = 72
POLICY_FLAGS: Final = {
    "smt": 1 << 16,
    "migrate_ma": 1 << 18,
    "debug": 1 << 19,
    "single_socket": 1 << 20,
    "cxl_allow": 1 << 21,
    "mem_aes_256_xts": 1 << 22,
    "rapl_dis": 1 << 23,
    "ciphertext_hiding": 1 << 24,
    "page_swap_disable": 1 << 25,
}
"""Bits of the guest's policy (AMD 56860, table 10)."""
_SMT_ENABLED: Final = 1 << 0
_REGISTERS: Final = {
    "family_id": (0x10, 0x20),
    "image_id": (0x20, 0x30),
    "measurement": (0x90, 0xC0),
    "host_data": (0xC0, 0xE0),
    "id_key_digest": (0xE0, 0x110),
    "author_key_digest": (0x110, 0x140),
    "chip_id": (0x1A0, 0x1E0),
}
_SIGNERS: Final = {0: "vcek", 1: "vlek"}

Tcb = tuple[int, int, int, int, int]
"""(FMC, boot loader, TEE, SNP firmware, microcode); FMC is 0 before Turin."""


@dataclass(frozen=True)
class SnpReport:
    """The fields that are checked; numbers little-endian, digests as hex."""

    guest_svn: int
    policy: frozenset[str]
    policy_abi: int
    smt_enabled: bool
    vmpl: int
    signer: Literal["vcek", "vlek"]
    report_data: str
    registers: Mapping[str, str]
    reported_tcb: bytes
    chip_id: bytes
    signed: bytes
    signature: tuple[int, int]


def parse_report(data: bytes) -> SnpReport:
    """Parse a report of exactly 1184 bytes.

    Raises:
        SecureFlowError: `evidence_not_authentic`, part `report_format`.
    """
    if len(data) != REPORT_LENGTH:
        raise not_authentic(
            "report_format", Text("An SNP report has 1184 bytes, not {count}.", count=len(data))
        )
    version, guest_svn, policy = struct.unpack_from("<IIQ", data, 0)
    vmpl, algorithm = struct.unpack_from("<II", data, 0x30)
    platform, key_info = struct.unpack_from("<QI", data, 0x40)
    if version not in VERSIONS:
        raise not_authentic(
            "report_format", Text("SNP report version {version} is not known.", version=version)
        )
    if algorithm != _ECDSA_P384_SHA384:
        raise not_authentic(
            "report_format",
            Text("SNP signature algorithm {algorithm} is not known.", algorithm=algorithm),
        )
    signer = _SIGNERS.get((key_info >> 2) & 7)
    if signer is None:
        raise not_authentic("report_format", "The SNP report is not signed by a VCEK or VLEK.")
    r, s = (
        int.from_bytes(data[start : start + _COMPONENT], "little")
        for start in (SIGNED_LENGTH, SIGNED_LENGTH + _COMPONENT)
    )
    return SnpReport(
        guest_svn=guest_svn,
        policy=frozenset(name for name, bit in POLICY_FLAGS.items() if policy & bit),
        policy_abi=policy & 0xFFFF,
        smt_enabled=bool(platform & _SMT_ENABLED),
        vmpl=vmpl,
        signer="vcek" if signer == "vcek" else "vlek",
        report_data=data[0x50:0x90].hex(),
        registers={name: data[start:end].hex() for name, (start, end) in _REGISTERS.items()}
        | {"vmpl": f"{vmpl:02x}"},
        reported_tcb=data[0x180:0x188],
        chip_id=data[0x1A0:0x1E0],
        signed=data[:SIGNED_LENGTH],
        signature=(r, s),
    )


def parse_tcb(raw: bytes, product: str) -> Tcb:
    """Split 8 bytes of TCB version by the product's layout (Turin put the FMC first)."""
    if product == "Turin":
        return raw[0], raw[1], raw[2], raw[3], raw[7]
    return 0, raw[0], raw[1], raw[6], raw[7]
