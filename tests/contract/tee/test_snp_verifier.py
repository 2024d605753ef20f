"""SEV-SNP reports: a chain of genuine format made here, and a real one where it is present."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.adapters.tee.snp import SnpVerifier
from secureflow.adapters.tee.verifiers import TeeVerifier
from secureflow.engines.attestation import Evidence, report_data, runtime_data
from secureflow.kit.canonical import b64encode
from secureflow.kit.errors import SecureFlowError

NOW = int(time.time())
RUNTIME = runtime_data(
    nonce="a" * 64, hpke="SGVsbG8=", release="A" * 43 + "=", job="job_1", spec="b" * 64
)
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
OID = "1.3.6.1.4.1.3704.1."
DER = serialization.Encoding.DER
TCB = (0, 3, 0, 8, 206)
CHIP = bytes(range(64))
CODE = "11" * 48

# The seam under test is the verifier; RSA-2048 keeps key generation short.
ARK_KEY, ASK_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CHIP_KEY = ec.generate_private_key(ec.SECP384R1())


def integer(value: int) -> bytes:
    return bytes([2, 1, value]) if value < 0x80 else bytes([2, 2, 0, value])


def certificate(
    subject: str, public: Any, issuer: str, key: rsa.RSAPrivateKey, **changes: Any
) -> x509.Certificate:
    def name(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    at = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(changes.get("serial", 7))
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=changes.get("days", 30)))
        .add_extension(x509.BasicConstraints(changes.get("ca", True), None), critical=True)
    )
    for oid, value in changes.get("extensions", {}).items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(OID + oid), value)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA384(), rsa_padding=PSS)


ARK = certificate("SIMULATED ARK", ARK_KEY.public_key(), "SIMULATED ARK", ARK_KEY, serial=1)
ASK = certificate("SIMULATED ASK", ASK_KEY.public_key(), "SIMULATED ARK", ARK_KEY, serial=2)
ROOT = ARK.public_bytes(serialization.Encoding.PEM).decode()
PARTS = {"3.1": integer(3), "3.2": integer(0), "3.3": integer(8), "3.8": integer(206)}


def leaf(extensions: dict[str, bytes] | None = None, **changes: Any) -> x509.Certificate:
    values = {**PARTS, "4": CHIP} if extensions is None else extensions
    return certificate(
        "SEV-VCEK", CHIP_KEY.public_key(), "SIMULATED ASK", ASK_KEY, extensions=values, **changes
    )


def crl(key: rsa.RSAPrivateKey = ARK_KEY, revoked: int | None = None, days: int = 0) -> bytes:
    at = datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ARK.subject)
        .last_update(at - timedelta(days=1))
        .next_update(at + timedelta(days=1))
    )
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(at)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA384(), rsa_padding=PSS).public_bytes(DER)


def report(**changes: Any) -> bytes:
    data = bytearray(0x4A0)
    policy = 0x30000 | changes.get("policy", 0)
    struct.pack_into("<IIQ", data, 0, changes.get("version", 2), 5, policy)
    struct.pack_into("<II", data, 0x30, changes.get("vmpl", 0), changes.get("algorithm", 1))
    struct.pack_into("<QI", data, 0x40, changes.get("platform", 0), changes.get("key_info", 0))
    data[0x50:0x90] = report_data(RUNTIME)
    data[0x90:0xC0] = bytes.fromhex(CODE)
    data[0x180:0x188] = bytes([3, 0, 0, 0, 0, 0, 8, changes.get("microcode", 206)])
    data[0x1A0:0x1E0] = changes.get("chip", CHIP)
    r, s = decode_dss_signature(CHIP_KEY.sign(bytes(data[:0x2A0]), ec.ECDSA(hashes.SHA384())))
    data[0x2A0 : 0x2A0 + 72] = r.to_bytes(72, "little")
    data[0x2E8 : 0x2E8 + 72] = s.to_bytes(72, "little")
    return bytes(data)


def evidence(blob: bytes | None = None, **collateral: Any) -> Evidence:
    chain = {"vcek": leaf(), "ask": ASK, "ark": ARK, "crl": crl(), **collateral}
    encoded = {
        name: b64encode(one.public_bytes(DER) if isinstance(one, x509.Certificate) else one)
        for name, one in chain.items()
        if one is not None
    }
    return Evidence("sev-snp", "snp-report", blob or report(), encoded, RUNTIME, NOW)


VERIFIER = SnpVerifier({"SIMULATED": TCB}, ROOT)


def failed_part(shown: Evidence, verifier: SnpVerifier = VERIFIER, now: int = NOW) -> str:
    with pytest.raises(SecureFlowError) as error:
        verifier.verify(shown, now)
    assert error.value.code == "evidence_not_authentic"
    assert error.value.details["stage"] == "authentic"
    return str(error.value.details["leg"])


def test_genuine_format_under_a_simulated_root() -> None:
    claims = VERIFIER.verify(evidence(), NOW)
    assert claims.simulated
    assert (claims.tee, claims.measurement, claims.svn) == ("sev-snp", CODE, 5)
    assert claims.report_data == report_data(RUNTIME).hex()
    assert (claims.debug, claims.tcb_status) == (False, "UpToDate")
    assert claims.valid_until == NOW + 86_400


def test_the_floor_decides_the_status() -> None:
    assert SnpVerifier({}, ROOT).verify(evidence(), NOW).tcb_status == "Unknown"
    for part in range(1, 5):
        floor = tuple(value + (place == part) for place, value in enumerate(TCB))
        verifier = SnpVerifier({"SIMULATED": floor}, ROOT)  # type: ignore[dict-item]
        assert verifier.verify(evidence(), NOW).tcb_status == "OutOfDate"


def test_policy_bits_become_claims() -> None:
    def claims(**changes: Any) -> Any:
        return VERIFIER.verify(evidence(report(**changes)), NOW)

    assert claims(policy=1 << 19).debug
    assert claims(policy=1 << 18).platform["migratable"]
    assert claims(platform=1).platform["smt_enabled"]
    assert claims(vmpl=1).platform["lower_privilege"]
    assert not any(claims().platform.values())


def test_unknown_root() -> None:
    assert failed_part(evidence(), SnpVerifier()) == "root"
    stranger = certificate("SIMULATED ARK", ARK_KEY.public_key(), "SIMULATED ARK", ARK_KEY)
    assert failed_part(evidence(ark=stranger)) == "root"


@pytest.mark.parametrize("pem", ["", "x", leaf().public_bytes(serialization.Encoding.PEM).decode()])
def test_only_a_root_that_says_simulated_is_taken(pem: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        SnpVerifier(simulated_root=pem)
    assert error.value.code == "simulated_root_refused"


def test_broken_chains() -> None:
    other = rsa.generate_private_key(65537, 2048)
    forged_ask = certificate("SIMULATED ASK", other.public_key(), "SIMULATED ARK", other)
    assert failed_part(evidence(ask=forged_ask)) == "certificate_chain"
    forged_leaf = certificate("SEV-VCEK", CHIP_KEY.public_key(), "SIMULATED ASK", other)
    assert failed_part(evidence(vcek=forged_leaf)) == "certificate_chain"
    no_ca = certificate("SIMULATED ASK", ASK_KEY.public_key(), "SIMULATED ARK", ARK_KEY, ca=False)
    assert failed_part(evidence(ask=no_ca)) == "certificate_chain"
    for name in ("vcek", "ask", "ark"):
        assert failed_part(evidence(**{name: None})) == "collateral"
        assert failed_part(evidence(**{name: b"\x30\x00"})) == "certificate_format"


def test_dates() -> None:
    assert failed_part(evidence(), now=NOW - 2 * 86_400) == "certificate_not_yet_valid"
    assert failed_part(evidence(vcek=leaf(days=1)), now=NOW + 86_400) == "certificate_expired"


def test_revocation() -> None:
    assert failed_part(evidence(crl=crl(revoked=ASK.serial_number))) == "revoked"
    assert failed_part(evidence(crl=crl(ASK_KEY))) == "crl"
    assert failed_part(evidence(crl=crl(days=-3))) == "collateral_expired"
    assert failed_part(evidence(crl=crl(days=3))) == "collateral_expired"
    assert failed_part(evidence(crl=b"x")) == "certificate_format"


def test_without_the_list_of_revoked_keys_nothing_is_proven() -> None:
    """A missing list is not an empty one; only the owner's own word lets it be."""
    bare = evidence(crl=None)
    assert failed_part(bare) == "crl"
    with pytest.raises(SecureFlowError) as error:
        VERIFIER.verify(bare, NOW)
    assert "snp_without_crl" in error.value.hint
    assert "no TEE" not in error.value.hint
    lenient = SnpVerifier({"SIMULATED": TCB}, ROOT, without_crl=True)
    claims = lenient.verify(bare, NOW)
    assert claims.unchecked == ("revocation",)
    checked = lenient.verify(evidence(), NOW)
    assert checked.unchecked == ()
    assert (claims.valid_until or 0) > (checked.valid_until or 0) == NOW + 86_400
    assert failed_part(evidence(crl=crl(revoked=ASK.serial_number)), lenient) == "revoked"
    # A changed report is called that, whatever else is missing.
    changed = bytearray(bare.blob)
    changed[0x90] ^= 1
    assert failed_part(replace(bare, blob=bytes(changed))) == "report_signature"


def test_what_the_report_says_is_told_in_amds_words() -> None:
    told = VERIFIER.verify(evidence(report(policy=1 << 20 | 0x0137, vmpl=2)), NOW)
    assert told.registers["measurement"] == CODE
    assert told.registers["chip_id"] == CHIP.hex()
    assert told.registers["vmpl"] == "02"
    assert told.numbers == {"guest_svn": 5, "policy_abi": 0x0137}
    assert told.flags == {"smt", "single_socket"}


def test_the_key_belongs_to_chip_and_tcb() -> None:
    assert failed_part(evidence(report(microcode=205))) == "tcb"
    assert failed_part(evidence(vcek=leaf({"4": CHIP}))) == "tcb"
    assert failed_part(evidence(report(chip=bytes(64)))) == "chip"
    assert failed_part(evidence(vcek=leaf(PARTS))) == "chip"
    assert failed_part(evidence(vcek=leaf({**PARTS, "4": CHIP[:8]}))) == "chip"


def test_provider_keys() -> None:
    by_vlek = report(key_info=1 << 2)
    assert VERIFIER.verify(evidence(by_vlek, vcek=leaf({**PARTS, "5": b"csp"})), NOW).simulated
    assert failed_part(evidence(by_vlek)) == "chip"
    assert failed_part(evidence(by_vlek, vcek=leaf(PARTS))) == "chip"
    assert failed_part(evidence(vcek=leaf({**PARTS, "5": b"csp"}))) == "chip"
    both = leaf({**PARTS, "4": CHIP, "5": b"csp"})
    assert failed_part(evidence(by_vlek, vcek=both)) == "chip"


def test_turin_has_its_own_layout() -> None:
    turin = SnpVerifier({"Turin": (3, 0, 0, 0, 206)}, ROOT)
    turin._roots = dict.fromkeys(turin._roots, "Turin")
    parts = {"3.9": integer(3), "3.1": integer(0), "3.2": integer(0), "3.3": integer(0)}
    short = {**parts, "3.8": integer(206), "4": CHIP[:8]}
    padded = report(chip=CHIP[:8] + bytes(56))
    assert turin.verify(evidence(padded, vcek=leaf(short)), NOW).tcb_status == "UpToDate"
    assert failed_part(evidence(report(), vcek=leaf(short)), turin) == "chip"
    assert failed_part(evidence(padded, vcek=leaf({**short, "3.9": integer(2)})), turin) == "tcb"


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        report()[:-1],
        report() + b"\0",
        report(version=1),
        report(version=6),
        report(algorithm=2),
        report(key_info=7 << 2),
    ],
)
def test_unknown_formats(blob: bytes) -> None:
    assert failed_part(replace(evidence(), blob=blob)) == "report_format"


@pytest.mark.parametrize("place", [4, 8, 0x50, 0x90, 0x110, 0x29F, 0x2A0, 0x2E8, 0x2A0 + 71])
def test_every_signed_byte_is_covered(place: int) -> None:
    blob = bytearray(report())
    blob[place] ^= 1
    assert failed_part(evidence(bytes(blob))) == "report_signature"


def test_report_key_on_another_curve() -> None:
    """Even a report that such a key did sign is refused."""
    for weak in (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP521R1())):
        data = bytearray(report())
        r, s = decode_dss_signature(weak.sign(bytes(data[:0x2A0]), ec.ECDSA(hashes.SHA384())))
        data[0x2A0 : 0x2A0 + 72] = r.to_bytes(72, "little")
        data[0x2E8 : 0x2E8 + 72] = s.to_bytes(72, "little")
        wrong = certificate(
            "SEV-VCEK",
            weak.public_key(),
            "SIMULATED ASK",
            ASK_KEY,
            extensions={**PARTS, "4": CHIP},
        )
        assert failed_part(evidence(bytes(data), vcek=wrong)) == "report_signature"
    rsa_leaf = certificate(
        "SEV-VCEK",
        ASK_KEY.public_key(),
        "SIMULATED ASK",
        ASK_KEY,
        extensions={**PARTS, "4": CHIP},
    )
    assert failed_part(evidence(vcek=rsa_leaf)) == "report_signature"


def test_dispatch_by_format() -> None:
    verifier = TeeVerifier(minimum_tcb={"Milan": TCB})
    with pytest.raises(SecureFlowError) as error:
        verifier.verify(evidence(), NOW)
    assert error.value.details["leg"] == "root"
    for wrong in ("dcap", "other"):
        with pytest.raises(SecureFlowError) as error:
            verifier.verify(replace(evidence(), format=wrong), NOW)
        assert error.value.code == "evidence_not_authentic"
    with pytest.raises(SecureFlowError):
        VERIFIER.verify(replace(evidence(), format="dcap"), NOW)


GOOD = evidence()


def fuzz(seed: int) -> None:
    rng = Random(seed)
    blob, collateral = bytearray(GOOD.blob), dict(GOOD.collateral or {})
    if rng.random() < 0.3:
        blob[rng.randrange(0x2A0 + 144)] ^= rng.randint(1, 255)
    else:
        name = rng.choice(sorted(collateral))
        text = bytearray(collateral[name].encode())
        for _ in range(rng.randint(1, 3)):
            text[rng.randrange(len(text))] = rng.choice(b"ABCDxyz0189+/")
        collateral[name] = rng.choice([text.decode(), text.decode(), text.decode(), "", None, 3])
        if collateral[name] == (GOOD.collateral or {})[name]:
            return
    try:
        claims = VERIFIER.verify(replace(GOOD, blob=bytes(blob), collateral=collateral), NOW)
    except SecureFlowError as error:
        if error.code != "evidence_not_authentic":
            raise
        return
    # DER leaves a few bits without a meaning (the unused bits of a signature's BIT STRING).
    assert bytes(blob) == GOOD.blob
    assert claims == VERIFIER.verify(GOOD, NOW)


@pytest.mark.filterwarnings("ignore:Parsed a")
@given(st.integers(0, 2**64))
@settings(max_examples=500, deadline=None)
def test_fuzzed_reports_prove_nothing(seed: int) -> None:
    fuzz(seed)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Parsed a")
@given(st.integers(0, 2**64))
@settings(max_examples=1_000_000, deadline=None)
def test_soak_fuzzed_reports_prove_nothing(seed: int) -> None:
    fuzz(seed)


# Real evidence. ---------------------------------------------------------------------------------

REPOSITORY = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("SECUREFLOW_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
SNP = VECTORS / "snp"
real = pytest.mark.skipif(
    not SNP.is_dir(), reason="no real evidence: set SECUREFLOW_VECTORS to a directory that has it"
)
ignore_serial = pytest.mark.filterwarnings("ignore:Parsed a")  # AMD gives every VCEK serial 0
THEN = int(datetime(2025, 7, 4, tzinfo=UTC).timestamp())
MILAN = {"Milan": (0, 3, 0, 8, 115)}


def vector() -> Evidence:
    ask, ark = x509.load_pem_x509_certificates((SNP / "ask_ark_milan.pem").read_bytes())
    collateral = {
        "vcek": b64encode((SNP / "test-vcek.der").read_bytes()),
        "ask": b64encode(ask.public_bytes(DER)),
        "ark": b64encode(ark.public_bytes(DER)),
    }
    blob = (SNP / "test-report.bin").read_bytes()
    return Evidence("sev-snp", "snp-report", blob, collateral, RUNTIME, THEN)


@real
@ignore_serial
def test_real_milan_report() -> None:
    assert failed_part(vector(), SnpVerifier(MILAN), THEN) == "crl"  # type: ignore[arg-type]
    claims = SnpVerifier(MILAN, without_crl=True).verify(vector(), THEN)  # type: ignore[arg-type]
    assert not claims.simulated
    assert (claims.tcb_status, claims.debug) == ("UpToDate", False)
    assert claims.measurement.startswith("a1f3930413247bb3")
    assert claims.svn == 4
    raised = SnpVerifier({"Milan": (0, 3, 0, 8, 116)}, without_crl=True)
    assert raised.verify(vector(), THEN).tcb_status == "OutOfDate"


@real
@ignore_serial
@pytest.mark.parametrize("place", [0x08, 0x50, 0x90, 0x100, 0x29F, 0x2A0, 0x2E8])
def test_real_report_flipped(place: int) -> None:
    blob = bytearray(vector().blob)
    blob[place] ^= 1
    assert failed_part(replace(vector(), blob=bytes(blob)), SnpVerifier()) == "report_signature"


@real
@ignore_serial
def test_real_report_with_another_vcek_or_time() -> None:
    shown = vector()
    other = {**(shown.collateral or {}), "vcek": b64encode(leaf().public_bytes(DER))}
    assert failed_part(replace(shown, collateral=other), SnpVerifier()) == "certificate_chain"
    for year, expected in ((2020, "certificate_not_yet_valid"), (2031, "certificate_expired")):
        then = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
        assert failed_part(shown, SnpVerifier(), then) == expected
