"""Simulated and real DCAP evidence through one verifier: only the trust anchor differs."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.adapters.tee import SimulatedAttester, SimulatedPlatform, _dcap_errors, _pck
from secureflow.adapters.tee.dcap import INTEL_ROOT, DcapVerifier
from secureflow.engines.attestation import (
    AppraisalPolicy,
    Challenge,
    Evidence,
    appraise,
    attest,
    not_authentic,
    report_data,
    runtime_data,
)
from secureflow.engines.attestation.claims import HINTS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority

NOW = int(time.time())
CODE = "ab" * 32
RUNTIME = runtime_data(
    nonce="a" * 64, hpke="SGVsbG8=", release="A" * 43 + "=", job="job_1", spec="b" * 64
)
PLATFORM = SimulatedPlatform.generate(NOW)
VERIFIER = DcapVerifier(PLATFORM.root_pem)
EVIDENCE = SimulatedAttester(PLATFORM, measurement=CODE, svn=7).attest(RUNTIME, NOW)


def refusal(verifier: DcapVerifier, evidence: Evidence, now: int = NOW) -> tuple[str, str]:
    with pytest.raises(SecureFlowError) as error:
        verifier.verify(evidence, now)
    stage = {"evidence_not_authentic": "authentic", "evidence_not_acceptable": "acceptable"}
    assert error.value.details["stage"] == stage[error.value.code]
    return error.value.code, error.value.details["leg"]


def test_simulated_evidence_verifies_and_says_simulated() -> None:
    claims = VERIFIER.verify(EVIDENCE, NOW)
    assert claims.simulated
    assert (claims.tee, claims.measurement, claims.svn) == ("sgx", CODE, 7)
    assert claims.report_data == report_data(RUNTIME).hex()
    assert (claims.tcb_status, claims.debug, claims.advisories) == ("UpToDate", False, ())
    assert claims.root != INTEL_ROOT
    assert claims.valid_until is not None
    assert claims.valid_until > NOW


def test_simulated_evidence_needs_the_agents_own_root() -> None:
    assert refusal(DcapVerifier(), EVIDENCE) == ("evidence_not_authentic", "root")
    other = SimulatedPlatform.generate(NOW)
    assert refusal(DcapVerifier(other.root_pem), EVIDENCE) == ("evidence_not_authentic", "root")


def test_a_root_of_the_same_name_is_another_root() -> None:
    """Grafting the pinned root's certificate onto another platform's chain fails."""
    other = SimulatedPlatform.generate(NOW)
    graft = SimulatedPlatform(
        other._keys, {**other._certificates, "root": PLATFORM._certificates["root"]}
    )
    evidence = SimulatedAttester(graft, measurement=CODE).attest(RUNTIME, NOW)
    code, _ = refusal(VERIFIER, evidence)
    assert code == "evidence_not_authentic"


def test_real_roots_are_never_taken_for_simulated(tmp_path: Path) -> None:
    ca = Authority.create(tmp_path, "demo.test", NOW)
    for pem in (ca.pem, "no certificate", ""):
        with pytest.raises(SecureFlowError) as error:
            DcapVerifier(pem)
        assert error.value.code == "simulated_root_refused"


def test_debug_enclave_fails_as_unacceptable() -> None:
    evidence = SimulatedAttester(PLATFORM, measurement=CODE, debug=True).attest(RUNTIME, NOW)
    assert refusal(VERIFIER, evidence) == ("evidence_not_acceptable", "debug")


def test_revoked_platform() -> None:
    for state, part in (({"revoked": True}, "certificate_chain"), ({"status": "Revoked"}, "tcb")):
        platform = PLATFORM.pretending(**state)  # type: ignore[arg-type]
        evidence = SimulatedAttester(platform, measurement=CODE).attest(RUNTIME, NOW)
        assert refusal(VERIFIER, evidence) == ("evidence_not_authentic", part)


def test_out_of_date_is_authentic_and_for_the_policy_to_refuse() -> None:
    platform = PLATFORM.pretending(status="OutOfDate", advisories=("INTEL-SA-00615",))
    evidence = SimulatedAttester(platform, measurement=CODE).attest(RUNTIME, NOW)
    claims = VERIFIER.verify(evidence, NOW)
    assert (claims.tcb_status, claims.advisories) == ("OutOfDate", ("INTEL-SA-00615",))
    challenge = Challenge("a" * 64, "job_1", "b" * 64, NOW)
    policy = AppraisalPolicy(measurements=(CODE,), allow_simulated=True)
    with pytest.raises(SecureFlowError) as error:
        attest(VERIFIER, evidence, challenge, policy, NOW)
    assert error.value.details == {"stage": "acceptable", "leg": "tcb"}
    accepting = replace(policy, tcb_statuses=("OutOfDate",))
    assert attest(VERIFIER, evidence, challenge, accepting, NOW).status == "warning"


@pytest.mark.parametrize(
    ("seconds", "part"), [(-7200, "collateral_not_yet_valid"), (31 * 86_400, "collateral_expired")]
)
def test_collateral_has_its_time(seconds: int, part: str) -> None:
    assert refusal(VERIFIER, EVIDENCE, NOW + seconds) == ("evidence_not_authentic", part)
    fresh = SimulatedAttester(PLATFORM, measurement=CODE).attest(RUNTIME, NOW + 31 * 86_400)
    VERIFIER.verify(fresh, NOW + 31 * 86_400)


def test_collateral_of_the_future_is_refused_part_by_part() -> None:
    """The library accepts CRLs that are not valid yet; a mixed set must still fail."""
    later = PLATFORM.collateral(NOW + 86_400)
    assert EVIDENCE.collateral is not None
    for name in ("root_ca_crl", "pck_crl"):
        mixed = replace(EVIDENCE, collateral={**EVIDENCE.collateral, name: later[name]})
        assert refusal(VERIFIER, mixed)[1] == "collateral_not_yet_valid"


def test_absurd_times_are_refused() -> None:
    for now in (0, 2**62, 2**70):
        code, _ = refusal(VERIFIER, EVIDENCE, now)
        assert code == "evidence_not_authentic"


@pytest.mark.parametrize(
    "changes", [{"collateral": None}, {"format": "snp-report"}, {"collateral": {}}, {"blob": b""}]
)
def test_incomplete_evidence(changes: dict[str, Any]) -> None:
    code, _ = refusal(VERIFIER, replace(EVIDENCE, **changes))
    assert code == "evidence_not_authentic"


def test_another_platforms_collateral_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed by the same authority, for another model: not the quote is wrong."""
    monkeypatch.setattr(_pck, "FMSPC", bytes(6))
    foreign = replace(EVIDENCE, collateral=PLATFORM.collateral(NOW))
    assert refusal(VERIFIER, foreign) == ("evidence_not_authentic", "collateral_mismatch")


LIBRARY = {
    "Verification failed: Fmspc mismatch": "collateral_mismatch",
    "SGX quote with non-SGX TCB info in the collateral": "collateral_mismatch",
    "Failed to decode TcbInfo": "collateral_format",
    "Failed to decode quote": "quote_format",
    "Unsupported DCAP quote version": "quote_format",
    "Unknown QE vendor ID": "quote_format",
    "QE MRSIGNER mismatch: expected 00, got 11": "quoting_enclave",
    "QE report hash mismatch": "quote_signature",
    "Signature is invalid for qe_identity in quote_collateral": "collateral_signature",
    "No matching TCB level found": "tcb",
    "SEPT_VE_DISABLE is not enabled": "attributes",
    "Failed to verify certificate chain: UnknownIssuer": "certificate_chain",
    "something that a later library says of \x1b[2J": "quote",
}


@pytest.mark.parametrize("text", LIBRARY)
def test_the_librarys_words_name_the_part_and_reach_nobody(text: str) -> None:
    told = _dcap_errors.refusal(text)
    assert told.details == {"stage": "authentic", "leg": LIBRARY[text]}
    for word in ("mismatch", "Fmspc", "UnknownIssuer", "\x1b", "SEPT", "MRSIGNER", "TcbInfo"):
        assert word not in f"{told} {told.details}".replace("collateral_mismatch", "")


def test_honest_hardware_is_not_called_no_tee() -> None:
    """What is stale, of another machine or out of date says nothing against the hardware."""
    suspicious = {part for part, hint in HINTS.items() if "no TEE" in hint}
    assert suspicious == {
        *("root", "quote_signature", "report_signature", "collateral_signature"),
        *("quoting_enclave", "attributes", "chip"),
    }
    for part in ("quote", "quote_format", "collateral_format", "crl", "tcb", "collateral_expired"):
        assert "no TEE" not in not_authentic(part, "x").hint


SIGNED = 48 + 384
QE = SIGNED + 4 + 64 + 64  # length, ISV signature, attestation key; then the QE report


@pytest.mark.parametrize("place", [0, 48, 48 + 64, SIGNED - 1, SIGNED + 4, QE - 1, QE, QE + 384])
def test_every_signed_part_of_the_quote_is_covered(place: int) -> None:
    blob = bytearray(EVIDENCE.blob)
    blob[place] ^= 1
    code, _ = refusal(VERIFIER, replace(EVIDENCE, blob=bytes(blob)))
    assert code == "evidence_not_authentic"


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
def test_edited_collateral_is_refused(name: str) -> None:
    assert EVIDENCE.collateral is not None
    text = (
        EVIDENCE.collateral[name].replace('"svn":1', '"svn":0').replace('"isvsvn":1', '"isvsvn":0')
    )
    assert text != EVIDENCE.collateral[name]
    edited = replace(EVIDENCE, collateral={**EVIDENCE.collateral, name: text})
    assert refusal(VERIFIER, edited) == ("evidence_not_authentic", "collateral_signature")


def fuzz(seed: int) -> None:
    rng = Random(seed)
    blob = bytearray(EVIDENCE.blob)
    collateral = dict(EVIDENCE.collateral or {})
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 4)):
            blob[rng.randrange(len(blob))] = rng.randrange(256)
        del blob[len(blob) - rng.choice([0, 0, rng.randrange(len(blob))]) :]
    else:
        name = rng.choice(sorted(collateral))
        text = bytearray(collateral[name].encode())
        text[rng.randrange(len(text))] = rng.randrange(32, 127)
        collateral[name] = rng.choice([text.decode(), text.decode(), "", None, 1, []])
    try:
        claims = VERIFIER.verify(replace(EVIDENCE, blob=bytes(blob), collateral=collateral), NOW)
    except SecureFlowError as error:
        if error.code not in {"evidence_not_authentic", "evidence_not_acceptable"}:
            raise
        return
    # Only parts that nothing relies on may change (e.g. text around PEM).
    assert claims == VERIFIER.verify(EVIDENCE, NOW)


@given(st.integers(0, 2**64))
@settings(max_examples=500, deadline=None)
def test_fuzzed_evidence_proves_nothing_else(seed: int) -> None:
    fuzz(seed)


@pytest.mark.soak
@given(st.integers(0, 2**64))
@settings(max_examples=1_000_000, deadline=None)
def test_soak_fuzzed_evidence_proves_nothing_else(seed: int) -> None:
    fuzz(seed)


def test_platform_survives_a_restart(tmp_path: Path) -> None:
    made = SimulatedPlatform.create(tmp_path, NOW)
    assert stat.S_IMODE((tmp_path / "platform.json").stat().st_mode) == 0o600
    assert (tmp_path / "root.pem").read_text() == made.root_pem
    loaded = SimulatedPlatform.load(tmp_path)
    evidence = SimulatedAttester(loaded, measurement=CODE).attest(RUNTIME, NOW)
    assert DcapVerifier(made.root_pem).verify(evidence, NOW).simulated
    with pytest.raises(SecureFlowError) as error:
        SimulatedPlatform.create(tmp_path, NOW)
    assert error.value.code == "simulated_platform_exists"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"keys": {"root": 1}}'])
def test_broken_platform(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "platform.json").touch(0o600)
    (tmp_path / "platform.json").write_bytes(content)
    with pytest.raises(SecureFlowError) as error:
        SimulatedPlatform.load(tmp_path)
    assert error.value.code == "simulated_platform_unreadable"


# Real evidence. ---------------------------------------------------------------------------------

REPOSITORY = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("SECUREFLOW_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
DCAP = VECTORS / "dcap"
real = pytest.mark.skipif(
    not DCAP.is_dir(), reason="no real evidence: set SECUREFLOW_VECTORS to a directory that has it"
)
THEN = int(datetime(2025, 7, 4, tzinfo=UTC).timestamp())


def vector(kind: str, collateral: str | None = None) -> Evidence:
    stapled = json.loads((DCAP / f"{collateral or kind}_quote_collateral.json").read_text())
    return Evidence(kind, "dcap", (DCAP / f"{kind}_quote").read_bytes(), stapled, RUNTIME, THEN)


@real
@pytest.mark.parametrize("simulated_root", [None, PLATFORM.root_pem])
def test_real_sgx_quote(simulated_root: str | None) -> None:
    claims = DcapVerifier(simulated_root).verify(vector("sgx"), THEN)
    assert not claims.simulated
    assert claims.tcb_status == "ConfigurationAndSWHardeningNeeded"
    assert claims.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert claims.root == INTEL_ROOT
    assert bytes.fromhex(claims.report_data).rstrip(b"\0") == b"Hello, world!"
    assert claims.measurement.startswith("33d8736db756ed49")
    assert not claims.debug


@real
@pytest.mark.parametrize(
    ("when", "part"),
    [
        (datetime(2025, 7, 19, 12, tzinfo=UTC), "collateral_expired"),
        (datetime(2026, 11, 24, tzinfo=UTC), "collateral_expired"),
        (datetime(2020, 1, 1, tzinfo=UTC), "collateral_not_yet_valid"),
    ],
)
@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_real_quotes_have_their_time(kind: str, when: datetime, part: str) -> None:
    found = refusal(DcapVerifier(), vector(kind), int(when.timestamp()))
    assert found == ("evidence_not_authentic", part)


@real
def test_real_quote_with_another_platforms_collateral() -> None:
    found = refusal(DcapVerifier(), vector("sgx", "tdx"), THEN)
    assert found == ("evidence_not_authentic", "collateral_mismatch")


@real
def test_real_tdx_quote_and_its_platform_facts() -> None:
    evidence = vector("tdx")
    claims = DcapVerifier().verify(evidence, THEN)
    assert (claims.tee, claims.tcb_status, claims.debug) == ("tdx", "UpToDate", False)
    assert claims.measurement.startswith("91eb2b44d141d4ec")
    assert claims.measurement.count(":") == 4
    facts = ("dynamic_platform", "cached_keys", "smt_enabled")
    assert claims.platform == dict.fromkeys(facts, True)
    # Bind the claims to our runtime data, as a live enclave would have, to reach stage three.
    bound = replace(claims, report_data=report_data(RUNTIME).hex())
    challenge = Challenge("a" * 64, "job_1", "b" * 64, THEN)
    policy = AppraisalPolicy(measurements=(claims.measurement,))
    with pytest.raises(SecureFlowError) as error:
        appraise(bound, evidence, challenge, policy, THEN)
    assert error.value.details == {"stage": "acceptable", "leg": "platform"}
    accepted = appraise(bound, evidence, challenge, replace(policy, allowed_platform=facts), THEN)
    assert (accepted.status, accepted.title[:9]) == ("affirming", "Intel TDX")
    # Unbound, the same real quote is of no use to anyone.
    with pytest.raises(SecureFlowError) as error:
        appraise(claims, evidence, challenge, policy, THEN)
    assert error.value.code == "evidence_not_bound"


@real
@pytest.mark.parametrize("kind", ["sgx", "tdx"])
@pytest.mark.parametrize("place", [50, 100, 300, 440, 700])
def test_real_quotes_tampered(kind: str, place: int) -> None:
    evidence = vector(kind)
    blob = bytearray(evidence.blob)
    blob[place] ^= 1
    code, _ = refusal(DcapVerifier(), replace(evidence, blob=bytes(blob)), THEN)
    assert code == "evidence_not_authentic"
    code, _ = refusal(DcapVerifier(), replace(evidence, blob=evidence.blob[:place]), THEN)
    assert code == "evidence_not_authentic"
