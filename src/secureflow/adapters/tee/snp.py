"""Verifies AMD SEV-SNP evidence offline: pinned ARK → ASK or ASVK → VCEK or VLEK → report.

AMD 57230 ("VCEK Certificate and KDS Interface") for chain and extensions. SNP has no vendor verdict
on a TCB, so the agent's owner sets a minimum per product: the claims say `UpToDate` at or above it,
`OutOfDate` below it, `Unknown` without one, which no default policy accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from secureflow.adapters.tee._snp_report import SnpReport, Tcb, parse_report, parse_tcb
from secureflow.engines.attestation import Claims, Evidence, not_authentic
from secureflow.kit.canonical import b64decode, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ROOTS: Final = {
    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd": "Milan",
    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1": "Genoa",
    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a": "Turin",
}
"""Hex SHA-256 of AMD's root keys (ARK, DER) by product."""

_OID: Final = "1.3.6.1.4.1.3704.1"
_TCB_OIDS: Final = ("3.9", "3.1", "3.2", "3.3", "3.8")
_HARDWARE_ID: Final = "4"
_PROVIDER_ID: Final = "5"
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


class SnpVerifier:
    """Stage one of the appraisal for `sev-snp`.

    Args:
        minimum_tcb: product (`Milan`, `Genoa`, `Turin`, `SIMULATED`) → lowest (FMC, boot loader,
            TEE, SNP, microcode) that counts as up to date.
        simulated_root: PEM of an ARK whose name contains SIMULATED, from the agent's own file.
        without_crl: accept evidence that came without AMD's revocation list; the claims say so.
    """

    def __init__(
        self,
        minimum_tcb: Mapping[str, Tcb] | None = None,
        simulated_root: str | None = None,
        *,
        without_crl: bool = False,
    ) -> None:
        self._without_crl = without_crl
        self._minimum = dict(minimum_tcb or {})
        self._roots = dict(ROOTS)
        if simulated_root is not None:
            self._roots[_simulated_digest(simulated_root)] = "SIMULATED"

    def verify(self, evidence: Evidence, now: int) -> Claims:
        """Return what the report proves at this time (Unix seconds).

        The collateral is `{"vcek", "ask", "ark", "crl"}` (base64 DER; `vcek` also holds a VLEK;
        `crl` is the ARK's). Without the list it is unknown whether the chain is still valid.

        Raises:
            SecureFlowError: `evidence_not_authentic`.
        """
        if evidence.format != "snp-report":
            raise not_authentic(
                "format", Text("{format} is not an SNP report.", format=evidence.format)
            )
        report = parse_report(evidence.blob)
        collateral = dict(evidence.collateral or {})
        try:
            leaf, ask, ark = (_certificate(collateral, name) for name in ("vcek", "ask", "ark"))
            root = sha256(ark.public_bytes(serialization.Encoding.DER)).hex()
            product = self._roots.get(root)
            if product is None:
                raise not_authentic(
                    "root", Text("The ARK {root} is not a pinned AMD root.", root=root)
                )
            until = _check_chain(leaf, ask, ark, now)
            unchecked = () if "crl" in collateral else ("revocation",)
            if not unchecked:
                until = min(until, _check_crl(collateral, (leaf, ask), ark, now))
            tcb = _check_binding(report, leaf, product)
        except _UNREADABLE as error:
            message = "A certificate or list that came with the report cannot be read."
            raise not_authentic("certificate_format", message) from error
        _check_signature(report, leaf)
        if unchecked and not self._without_crl:
            raise _no_crl()
        return Claims(
            tee="sev-snp",
            simulated=product == "SIMULATED",
            measurement=report.registers["measurement"],
            signer=report.registers["author_key_digest"],
            svn=report.guest_svn,
            debug="debug" in report.policy,
            report_data=report.report_data,
            tcb_status=self._status(product, tcb),
            advisories=(),
            root=root,
            valid_until=until,
            platform={
                "smt_enabled": report.smt_enabled,
                "migratable": "migrate_ma" in report.policy,
                "lower_privilege": report.vmpl > 0,
            },
            registers=report.registers,
            numbers={"guest_svn": report.guest_svn, "policy_abi": report.policy_abi},
            flags=report.policy,
            unchecked=unchecked,
        )

    def _status(self, product: str, tcb: Tcb) -> str:
        floor = self._minimum.get(product)
        if floor is None:
            return "Unknown"
        reached = all(found >= lowest for found, lowest in zip(tcb, floor, strict=True))
        return "UpToDate" if reached else "OutOfDate"


def _no_crl() -> SecureFlowError:
    return not_authentic(
        "crl",
        "The report came without AMD's list of revoked keys.",
        "Nothing was sent. The operator staples the list of AMD's key server; without it, only "
        "`attestation.snp_without_crl: true` in this agent's own settings accepts the report.",
    )


def _check_chain(
    leaf: x509.Certificate, ask: x509.Certificate, ark: x509.Certificate, now: int
) -> int:
    """Verify signatures and dates; return the Unix second at which the chain expires."""
    for child, issuer in ((ark, ark), (ask, ark), (leaf, ask)):
        try:
            child.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError) as error:
            message = "A certificate of the report's chain is not issued by its CA."
            raise not_authentic("certificate_chain", message) from error
        if (
            not child.not_valid_before_utc.timestamp()
            <= now
            < child.not_valid_after_utc.timestamp()
        ):
            early = now < child.not_valid_before_utc.timestamp()
            raise not_authentic(
                "certificate_not_yet_valid" if early else "certificate_expired",
                Text("A certificate of the report's chain is not valid at {now}.", now=now),
            )
    if not ask.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise not_authentic(
            "certificate_chain", "The intermediate certificate is not a CA certificate."
        )
    return int(min(one.not_valid_after_utc.timestamp() for one in (leaf, ask, ark)))


def _check_crl(
    collateral: Mapping[str, Any],
    chain: tuple[x509.Certificate, ...],
    ark: x509.Certificate,
    now: int,
) -> int:
    crl = x509.load_der_x509_crl(_der(collateral, "crl"))
    key = ark.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not crl.is_signature_valid(key):
        raise not_authentic("crl", "The revocation list is not signed by the ARK.")
    ends = crl.next_update_utc
    if ends is None or not crl.last_update_utc.timestamp() <= now < ends.timestamp():
        raise not_authentic("collateral_expired", "The revocation list is not valid now.")
    for one in chain:
        entry = crl.get_revoked_certificate_by_serial_number(one.serial_number)
        if entry is not None and one.issuer == crl.issuer:
            raise not_authentic("revoked", "AMD has revoked the intermediate certificate.")
    return int(ends.timestamp())


def _check_binding(report: SnpReport, leaf: x509.Certificate, product: str) -> Tcb:
    """Check that the leaf is for this chip (VCEK) or provider (VLEK) at the reported TCB."""
    values = {
        extension.oid.dotted_string.removeprefix(f"{_OID}."): extension.value.value
        for extension in leaf.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    tcb = parse_tcb(report.reported_tcb, product)
    oids = _TCB_OIDS if product == "Turin" else _TCB_OIDS[1:]
    certified = tuple(_small_integer(values.get(oid, b"")) for oid in oids)
    if certified != tcb[len(tcb) - len(oids) :]:
        raise not_authentic("tcb", "The report's TCB is not the one that its key was made for.")
    chip = values.get(_HARDWARE_ID)
    if report.signer == "vcek":
        length = 8 if product == "Turin" else 64
        if chip is None or report.chip_id[:length] != chip:
            raise not_authentic("chip", "The report is from another chip than its certificate.")
        if any(report.chip_id[length:]):
            raise not_authentic("chip", "The report's chip id is longer than its certificate's.")
    elif chip is not None or _PROVIDER_ID not in values:
        raise not_authentic("chip", "The report names a VLEK, but its certificate is not one.")
    return tcb


def _check_signature(report: SnpReport, leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise not_authentic("report_signature", "The report's key is not on P-384.")
    try:
        signature = encode_dss_signature(*report.signature)
        key.verify(signature, report.signed, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, ValueError) as error:
        raise not_authentic("report_signature", "The report's signature is not valid.") from error


def _small_integer(der: bytes) -> int:
    """Decode a DER INTEGER of 0..255, else -1, which equals no TCB part."""
    if len(der) == 3 and der[:2] == b"\x02\x01" and der[2] < 0x80:
        return der[2]
    if len(der) == 4 and der[:3] == b"\x02\x02\x00":
        return der[3]
    return -1


def _der(collateral: Mapping[str, Any], name: str) -> bytes:
    value = collateral.get(name)
    if not isinstance(value, str):
        raise not_authentic("collateral", Text("The SNP collateral has no {name}.", name=name))
    try:
        return b64decode(value, 64 * 1024)
    except SecureFlowError as error:
        raise not_authentic(
            "certificate_format", Text("{name} is not base64.", name=name)
        ) from error


def _certificate(collateral: Mapping[str, Any], name: str) -> x509.Certificate:
    return x509.load_der_x509_certificate(_der(collateral, name))


def _simulated_digest(pem: str) -> str:
    try:
        root = x509.load_pem_x509_certificate(pem.encode("utf-8"))
        names = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except _UNREADABLE as error:
        raise _refused("it is not a certificate") from error
    if not any("SIMULATED" in str(name.value) for name in names):
        raise _refused("its name does not contain SIMULATED")
    return sha256(root.public_bytes(serialization.Encoding.DER)).hex()


def _refused(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "simulated_root_refused",
        Text("The file with the simulated ARK is refused: {reason}.", reason=reason),
        "Name the certificate of a simulated platform, or none for real hardware.",
    )
