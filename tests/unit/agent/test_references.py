"""Reference values in agent.yaml decide over real TDX, SEV-SNP and SGX evidence."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from secureflow.agent.edge.verifying import verifier
from secureflow.agent.settings import AgentSettings, AttestationSettings
from secureflow.agent.verbs.attestation import appraisal_policy
from secureflow.engines.attestation import (
    AppraisalPolicy,
    Challenge,
    Claims,
    Evidence,
    EvidenceVerifier,
    Verdict,
    attest,
    report_data,
    runtime_data,
)
from secureflow.kit.canonical import b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement import code_measurement

REPOSITORY = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("SECUREFLOW_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
real = pytest.mark.skipif(
    not (VECTORS / "dcap").is_dir() or not (VECTORS / "snp").is_dir(),
    reason="no real evidence: set SECUREFLOW_VECTORS to a directory that has it",
)
ignore_serial = pytest.mark.filterwarnings("ignore:Parsed a")  # AMD gives every VCEK serial 0
THEN = int(datetime(2025, 7, 4, tzinfo=UTC).timestamp())
RUNTIME = runtime_data(
    nonce="a" * 64, hpke="SGVsbG8=", release="A" * 43 + "=", job="job_1", spec="b" * 64
)
CHALLENGE = Challenge("a" * 64, "job_1", "b" * 64, THEN)
FLOORS = {"Milan": {"boot_loader": 3, "tee": 0, "snp": 8, "microcode": 115}}


@dataclass(frozen=True)
class Rebound:
    """The agent's own verifier; what it proved is bound to our keys, as a live enclave's would be.

    The real vectors were made for somebody else's report data.
    """

    inner: EvidenceVerifier

    def verify(self, evidence: Evidence, now: int) -> Claims:
        claims = self.inner.verify(evidence, now)
        return replace(claims, report_data=report_data(RUNTIME).hex())


def load(directory: Path, **attestation: Any) -> AgentSettings:
    """Write agent.yaml as an owner would, and read it."""
    base = {
        "organisation": "bank-a",
        "server": "https://centre.example",
        "link": "centre.example:8444",
        "trust_domain": "c.example",
    }
    path = directory / "agent.yaml"
    path.write_text(yaml.safe_dump(base | {"attestation": attestation}))
    return AgentSettings.load(path)


def judge(settings: AgentSettings, evidence: Evidence) -> Verdict:
    policy = appraisal_policy(settings.attestation, code_measurement)
    assert AppraisalPolicy.from_json(json.loads(json.dumps(policy.as_json()))) == policy
    return attest(Rebound(verifier(settings)), evidence, CHALLENGE, policy, THEN)


def refused(settings: AgentSettings, evidence: Evidence) -> tuple[str, str]:
    with pytest.raises(SecureFlowError) as caught:
        judge(settings, evidence)
    assert caught.value.hint
    return caught.value.details["stage"], caught.value.details["leg"]


def quote(kind: str) -> Evidence:
    collateral = json.loads((VECTORS / "dcap" / f"{kind}_quote_collateral.json").read_text())
    blob = (VECTORS / "dcap" / f"{kind}_quote").read_bytes()
    return Evidence(kind, "dcap", blob, collateral, RUNTIME, THEN)


def snp() -> Evidence:
    folder = VECTORS / "snp"
    ask, ark = x509.load_pem_x509_certificates((folder / "ask_ark_milan.pem").read_bytes())
    chain = {
        "vcek": (folder / "test-vcek.der").read_bytes(),
        "ask": ask.public_bytes(Encoding.DER),
        "ark": ark.public_bytes(Encoding.DER),
    }
    collateral = {name: b64encode(der) for name, der in chain.items()}
    report = (folder / "test-report.bin").read_bytes()
    return Evidence("sev-snp", "snp-report", report, collateral, RUNTIME, THEN)


def claims_of(evidence: Evidence, directory: Path) -> Claims:
    return verifier(load(directory, snp_without_crl=True)).verify(evidence, THEN)


def other(value: str) -> str:
    """Return another value of the same length."""
    return ("1" if value[0] != "1" else "2") + value[1:]


TDX = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrseam", "mrsignerseam", "td_attributes")
HOST = {"allowed_platform": ["dynamic_platform", "cached_keys", "smt_enabled"]}


@real
def test_a_trust_domain_is_accepted_by_its_registers(tmp_path: Path) -> None:
    evidence = quote("tdx")
    registers = claims_of(evidence, tmp_path).registers
    reference = {name: registers[name] for name in (*TDX, "mrconfigid", "mrowner", "xfam")}
    verdict = judge(load(tmp_path, tdx=[reference], **HOST), evidence)
    assert (verdict.tier, verdict.status) == ("hardware", "affirming")
    assert verdict.title.startswith("Intel TDX")
    for name, value in reference.items():
        changed = reference | {name: other(value)}
        settings = load(tmp_path, tdx=[changed], **HOST)
        assert refused(settings, evidence) == ("acceptable", "measurement"), name
        # Several values, several references, and the owner's own "any".
        either = reference | {name: [other(value), value]}
        judge(load(tmp_path, tdx=[changed, either], **HOST), evidence)
    judge(load(tmp_path, tdx=[reference | {"rtmr0": "any", "rtmr3": "any"}], **HOST), evidence)
    newer = reference | {"min_tcb_evaluation": 10_000}
    assert refused(load(tmp_path, tdx=[newer], **HOST), evidence) == ("acceptable", "svn")
    assert refused(load(tmp_path, tdx=[reference]), evidence) == ("acceptable", "platform")


@real
def test_a_trust_domain_is_accepted_by_its_measurement(tmp_path: Path) -> None:
    """All five registers of 48 bytes, joined, in the plain list."""
    evidence = quote("tdx")
    measurement = claims_of(evidence, tmp_path).measurement
    judge(load(tmp_path, measurements=[measurement], **HOST), evidence)
    wrong = load(tmp_path, measurements=[other(measurement)], **HOST)
    assert refused(wrong, evidence) == ("acceptable", "measurement")
    assert refused(load(tmp_path, **HOST), evidence) == ("acceptable", "measurement")


@real
def test_an_sgx_enclave_is_accepted_by_code_or_signer(tmp_path: Path) -> None:
    evidence = quote("sgx")
    claims = claims_of(evidence, tmp_path)
    code, signer = claims.registers["mrenclave"], claims.registers["mrsigner"]
    product, svn = claims.numbers["isv_prod_id"], claims.numbers["isv_svn"]
    state = {"tcb_statuses": ["ConfigurationAndSWHardeningNeeded"]}
    signed = {"mrsigner": signer, "isv_prod_id": product, "min_isv_svn": svn}
    for good in ({"mrenclave": code}, signed, signed | {"mrenclave": code}):
        assert judge(load(tmp_path, sgx=[good], **state), evidence).status == "warning"
    for name, bad, part in (
        ("mrsigner", other(signer), "measurement"),
        ("isv_prod_id", product + 1, "measurement"),
        ("min_isv_svn", svn + 1, "svn"),
        ("mrenclave", other(code), "measurement"),
    ):
        settings = load(tmp_path, sgx=[signed | {name: bad}], **state)
        assert refused(settings, evidence) == ("acceptable", part), name
    assert refused(load(tmp_path, sgx=[signed]), evidence) == ("acceptable", "tcb")


@real
def test_product_zero_is_a_product(tmp_path: Path) -> None:
    """Most signers' first product is 0: naming it must not accept all their others."""
    signer = claims_of(quote("sgx"), tmp_path).registers["mrsigner"]
    named = {"mrsigner": signer, "isv_prod_id": 0, "min_isv_svn": 0}
    policy = appraisal_policy(load(tmp_path, sgx=[named]).attestation, code_measurement)
    (reference,) = policy.references
    genuine = claims_of(quote("sgx"), tmp_path)
    for product, part in ((0, None), (1, "measurement")):
        numbers = {**genuine.numbers, "isv_prod_id": product}
        missed = reference.mismatch(replace(genuine, numbers=numbers))
        assert (missed and missed.part) == part


@real
@ignore_serial
def test_an_snp_guest_is_accepted_by_its_report(tmp_path: Path) -> None:
    evidence = snp()
    claims = claims_of(evidence, tmp_path)
    names = ("measurement", "host_data", "id_key_digest", "author_key_digest", "chip_id")
    reference: dict[str, Any] = {
        **{name: claims.registers[name] for name in (*names, "family_id", "image_id")},
        "min_guest_svn": claims.numbers["guest_svn"],
        "min_abi": "0.31",
        "policy_required": ["smt"],
        "policy_refused": ["migrate_ma", "debug"],
    }
    host = {
        "snp_without_crl": True,
        "snp_minimum_tcb": FLOORS,
        "allowed_platform": sorted(name for name, true in claims.platform.items() if true),
    }
    verdict = judge(load(tmp_path, snp=[reference], **host), evidence)
    assert (verdict.tier, verdict.tee, verdict.tcb_status) == ("hardware", "sev-snp", "UpToDate")
    assert verdict.status == "warning"
    assert "Not checked, by this agent's settings: revocation." in verdict.reasons
    judge(load(tmp_path, measurements=[claims.measurement], **host), evidence)
    for name in (*names, "family_id", "image_id"):
        changed = load(tmp_path, snp=[reference | {name: other(reference[name])}], **host)
        assert refused(changed, evidence) == ("acceptable", "measurement"), name
    for changes, part in (
        ({"min_guest_svn": reference["min_guest_svn"] + 1}, "svn"),
        ({"min_abi": "1.0"}, "svn"),
        ({"policy_required": ["single_socket"]}, "guest_policy"),
        ({"policy_refused": ["smt"]}, "guest_policy"),
    ):
        settings = load(tmp_path, snp=[reference | changes], **host)
        assert refused(settings, evidence) == ("acceptable", part), changes
    higher = {"Milan": FLOORS["Milan"] | {"microcode": 116}}
    for floors in (higher, {}):
        settings = load(tmp_path, snp=[reference], **{**host, "snp_minimum_tcb": floors})
        assert refused(settings, evidence) == ("acceptable", "tcb")
    strict = load(tmp_path, snp=[reference], **{**host, "snp_without_crl": False})
    assert refused(strict, evidence) == ("authentic", "crl")


@real
def test_a_reference_of_one_technology_accepts_no_other(tmp_path: Path) -> None:
    evidence = quote("tdx")
    mrtd = claims_of(evidence, tmp_path).registers["mrtd"]
    settings = load(tmp_path, snp=[{"measurement": mrtd}], measurements=[mrtd], **HOST)
    assert refused(settings, evidence) == ("acceptable", "measurement")


@real
def test_stages_are_run_in_order(tmp_path: Path) -> None:
    """A changed quote is not authentic, an unbound one not fresh, whatever the references say."""
    evidence = quote("tdx")
    registers = claims_of(evidence, tmp_path).registers
    settings = load(tmp_path, tdx=[{name: registers[name] for name in TDX}], **HOST)
    policy = appraisal_policy(settings.attestation, code_measurement)
    with pytest.raises(SecureFlowError) as caught:
        attest(verifier(settings), evidence, CHALLENGE, policy, THEN)
    assert caught.value.code == "evidence_not_bound"
    blob = bytearray(evidence.blob)
    blob[300] ^= 1
    assert refused(settings, replace(evidence, blob=bytes(blob)))[0] == "authentic"


ZERO = "00" * 48
FULL = dict.fromkeys(("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"), ZERO)
WRONG = {
    "sgx": (
        {},
        {"mrenclave": ZERO},  # 48 bytes
        {"mrenclave": []},
        {"mrsigner": "00" * 32},
        {"mrsigner": "00" * 32, "isv_prod_id": 1},
        {"mrenclave": "AB" * 32},
        {"mrenclave": "00" * 32, "debug": True},
    ),
    "tdx": (
        {},
        {"mrtd": ZERO},
        {name: value for name, value in FULL.items() if name != "rtmr2"},
        FULL | {"mrtd": "any"},
        FULL | {"rtmr1": "any"},
        FULL | {"rtmr2": ""},
        FULL | {"rtmr2": "00" * 32},
        FULL | {"rtmr3": []},
        FULL | {"td_attributes": "00"},
    ),
    "snp": (
        {},
        {"measurement": "00" * 32},
        {"measurement": ZERO, "policy_required": ["anything"]},
        {"measurement": ZERO, "min_abi": "1"},
        {"measurement": ZERO, "max_vmpl": 4},
        {"measurement": ZERO, "chip_id": "00" * 8},
    ),
}


@pytest.mark.parametrize(
    ("kind", "reference"), [(kind, one) for kind, all_of in WRONG.items() for one in all_of]
)
def test_half_a_reference_is_refused(kind: str, reference: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SecureFlowError) as caught:
        load(tmp_path, **{kind: [reference]})
    assert caught.value.code == "invalid_settings"
    assert f"attestation.{kind}" in caught.value.message


def test_the_example_file_shows_references_that_can_be_written(tmp_path: Path) -> None:
    """Its lines behind `#   ` are settings: valid once the marks are removed."""
    text = (REPOSITORY / "configs" / "agent.example.yaml").read_text()
    section = text[text.index("\nattestation:") : text.index("\nworker:")]
    plain = re.sub(r"(?m)^  #   ", "  ", section)
    filled = re.sub(r"<(\d+) hex>", lambda found: '"' + "0" * int(found[1]) + '"', plain)
    values = yaml.safe_load(filled)["attestation"]
    settings = load(tmp_path, **values)
    policy = appraisal_policy(settings.attestation, code_measurement)
    assert {one.tee for one in policy.references} == {"sgx", "tdx", "sev-snp"}
    assert settings.attestation.snp_minimum_tcb["Milan"].tcb == (0, 3, 0, 8, 115)


def test_only_who_accepts_the_installed_code_measures_it() -> None:
    def none() -> str:
        raise SecureFlowError("code_unmeasurable", "no RECORD")

    listed = AttestationSettings(measurements=("ab" * 32,))
    assert appraisal_policy(listed, none).measurements == ("ab" * 32,)
    assert appraisal_policy(AttestationSettings(), lambda: "cd" * 32).measurements == ("cd" * 32,)
    with pytest.raises(SecureFlowError):
        appraisal_policy(AttestationSettings(), none)
