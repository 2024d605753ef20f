from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.attestation import (
    AppraisalPolicy,
    Challenge,
    Claims,
    Evidence,
    Verdict,
    appraise,
    parse_evidence,
    report_data,
    runtime_data,
)
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError

NOW = 1_000_000
NONCE, JOB, SPEC = "a" * 64, "job_1", "b" * 64
CODE, SIGNER, ROOT = "c" * 64, "d" * 64, "e" * 64
RUNTIME = runtime_data(nonce=NONCE, hpke="SGVsbG8=", release="A" * 43 + "=", job=JOB, spec=SPEC)
CHALLENGE = Challenge(NONCE, JOB, SPEC, NOW - 1)
POLICY = AppraisalPolicy(measurements=(CODE,))


def evidence(**changes: Any) -> Evidence:
    return replace(Evidence("sgx", "dcap", b"quote", {"k": "v"}, RUNTIME, NOW), **changes)


def claims(**changes: Any) -> Claims:
    good = Claims(
        tee="sgx",
        simulated=False,
        measurement=CODE,
        signer=SIGNER,
        svn=3,
        debug=False,
        report_data=report_data(RUNTIME).hex(),
        tcb_status="UpToDate",
        advisories=(),
        root=ROOT,
        valid_until=NOW + 1000,
    )
    return replace(good, **changes)


def verdict(
    facts: Claims | None = None,
    shown: Evidence | None = None,
    policy: AppraisalPolicy = POLICY,
    challenge: Challenge = CHALLENGE,
    now: int = NOW,
) -> Verdict:
    return appraise(facts or claims(), shown or evidence(), challenge, policy, now)


def test_report_data_is_sha384_and_padding() -> None:
    data = report_data(RUNTIME)
    assert len(data) == 64
    assert data[48:] == bytes(16)
    assert report_data(dict(reversed(RUNTIME.items()))) == data
    assert report_data({**RUNTIME, "nonce": "0" * 64}) != data


def test_an_affirming_verdict() -> None:
    result = verdict()
    assert (result.status, result.tier, result.simulated) == ("affirming", "hardware", False)
    assert (result.hpke, result.release) == (RUNTIME["hpke"], RUNTIME["release"])
    assert (result.nonce, result.job, result.spec) == (NONCE, JOB, SPEC)
    assert result.policy == POLICY.digest
    assert result.evidence == evidence().digest
    assert (result.issued, result.expires) == (NOW, NOW + 1000)
    assert "SIMULATED" not in json.dumps(result.as_json()) + result.text
    assert Verdict.from_json(json.loads(json.dumps(result.as_json()))) == result


def test_a_verdict_lives_no_longer_than_policy_and_collateral() -> None:
    assert verdict(policy=replace(POLICY, max_age_s=60)).expires == NOW + 60
    assert verdict(claims(valid_until=None)).expires == NOW + POLICY.max_age_s
    assert (verdict().issued, verdict().expires) == (NOW, NOW + 1000)


def test_a_simulated_verdict_says_so_everywhere() -> None:
    result = verdict(claims(simulated=True), policy=replace(POLICY, allow_simulated=True))
    assert result.simulated
    assert result.tier == "SIMULATED"
    assert result.status == "warning"
    assert result.title.startswith("SIMULATED SGX")
    assert result.text.startswith("SIMULATED")
    assert any("SIMULATED" in reason for reason in result.reasons)


NOT_BOUND: list[tuple[str, dict[str, Any]]] = [
    ("report_data", {"facts": claims(report_data=report_data({**RUNTIME, "hpke": "eA=="}).hex())}),
    ("report_data", {"facts": claims(report_data=report_data(RUNTIME).hex()[:-2] + "01")}),
    ("report_data", {"shown": evidence(runtime_data={**RUNTIME, "hpke": "eA=="})}),
    ("report_data", {"shown": evidence(runtime_data={**RUNTIME, "release": "B" * 43 + "="})}),
    ("tee", {"facts": claims(tee="tdx")}),
    ("job", {"challenge": replace(CHALLENGE, job="job_2")}),
    ("spec", {"challenge": replace(CHALLENGE, spec="0" * 64)}),
]


@pytest.mark.parametrize(("part", "changes"), NOT_BOUND)
def test_not_bound(part: str, changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as error:
        verdict(**changes)
    assert error.value.code == "evidence_not_bound"
    assert error.value.details == {"stage": "fresh", "leg": part}


def test_unknown_suite_is_refused_although_the_report_covers_it() -> None:
    weak = {**RUNTIME, "suite": "X25519/HKDF-SHA256/AES-128-GCM"}
    with pytest.raises(SecureFlowError) as error:
        verdict(claims(report_data=report_data(weak).hex()), evidence(runtime_data=weak))
    assert error.value.details["leg"] == "suite"


NOT_FRESH: list[tuple[str, dict[str, Any]]] = [
    ("nonce", {"challenge": replace(CHALLENGE, nonce="0" * 64)}),
    ("age", {"challenge": replace(CHALLENGE, asked_at=NOW - POLICY.max_age_s - 1)}),
    ("age", {"challenge": replace(CHALLENGE, asked_at=NOW + 1)}),
    ("clock", {"shown": evidence(collected_at=NOW - POLICY.max_age_s - 301)}),
    ("clock", {"shown": evidence(collected_at=NOW + POLICY.max_age_s + 301)}),
]


@pytest.mark.parametrize(("part", "changes"), NOT_FRESH)
def test_not_fresh(part: str, changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as error:
        verdict(**changes)
    assert error.value.code == "evidence_not_fresh"
    assert error.value.details == {"stage": "fresh", "leg": part}


NOT_ACCEPTABLE: list[tuple[str, Claims, AppraisalPolicy]] = [
    ("simulated", claims(simulated=True), POLICY),
    ("debug", claims(debug=True), POLICY),
    ("tee", claims(), replace(POLICY, allowed_tees=("tdx",))),
    ("root", claims(), replace(POLICY, trust_roots=("0" * 64,))),
    ("measurement", claims(), replace(POLICY, measurements=())),
    ("measurement", claims(), AppraisalPolicy()),
    ("measurement", claims(measurement="0" * 64), POLICY),
    ("signer", claims(), replace(POLICY, signers=("0" * 64,))),
    ("svn", claims(), replace(POLICY, min_svn=4)),
    ("tcb", claims(tcb_status="OutOfDate"), POLICY),
    ("tcb", claims(tcb_status="ConfigurationAndSWHardeningNeeded"), POLICY),
    ("tcb", claims(tcb_status=""), POLICY),
    ("tcb", claims(), replace(POLICY, tcb_statuses=())),
    ("advisory", claims(advisories=("SA-1", "SA-2")), replace(POLICY, denied_advisories=("SA-2",))),
    ("platform", claims(platform={"smt_enabled": True}), POLICY),
]


@pytest.mark.parametrize(("part", "facts", "policy"), NOT_ACCEPTABLE)
def test_not_acceptable(part: str, facts: Claims, policy: AppraisalPolicy) -> None:
    with pytest.raises(SecureFlowError) as error:
        verdict(facts, policy=policy)
    assert error.value.code == "evidence_not_acceptable"
    assert error.value.details == {"stage": "acceptable", "leg": part}


@pytest.mark.parametrize("part", ["root", "measurement", "signer"])
def test_what_an_owner_may_pin_is_shown_in_full(part: str) -> None:
    """Half a measurement that is compared, or copied into a setting, is somebody else's code."""
    *_, (facts, policy) = (
        (facts, policy) for name, facts, policy in NOT_ACCEPTABLE if name == part
    )
    with pytest.raises(SecureFlowError) as error:
        verdict(facts, policy=policy)
    assert getattr(facts, part) in error.value.message
    assert verdict().title.endswith(claims().measurement)


@pytest.mark.parametrize(
    ("facts", "policy"),
    [
        (claims(debug=True), replace(POLICY, allow_debug=True)),
        (claims(tcb_status="OutOfDate"), replace(POLICY, tcb_statuses=("UpToDate", "OutOfDate"))),
        (claims(advisories=("SA-1",)), POLICY),
    ],
)
def test_what_a_policy_accepts_grudgingly_is_a_warning(
    facts: Claims, policy: AppraisalPolicy
) -> None:
    result = verdict(facts, policy=policy)
    assert result.status == "warning"
    assert result.reasons


def test_lists_and_roots_that_fit() -> None:
    policy = replace(
        POLICY,
        signers=(SIGNER,),
        trust_roots=(ROOT,),
        min_svn=3,
        allowed_platform=("smt_enabled",),
    )
    facts = claims(platform={"smt_enabled": True, "cached_keys": False})
    assert verdict(facts, policy=policy).status == "affirming"


def test_missing_reference_values_say_what_is_missing() -> None:
    with pytest.raises(SecureFlowError, match="no reference value"):
        verdict(policy=AppraisalPolicy())


def test_stages_come_in_order() -> None:
    """Unacceptable *and* replayed evidence fails as replayed; unbound comes before that."""
    bad = claims(simulated=True, tcb_status="Revoked")
    with pytest.raises(SecureFlowError) as error:
        verdict(bad, challenge=replace(CHALLENGE, nonce="0" * 64))
    assert error.value.code == "evidence_not_fresh"
    with pytest.raises(SecureFlowError) as error:
        verdict(replace(bad, report_data="00" * 64), challenge=replace(CHALLENGE, nonce="0" * 64))
    assert error.value.code == "evidence_not_bound"


def test_policy_files() -> None:
    policy = AppraisalPolicy.from_json(json.loads(json.dumps(POLICY.as_json())))
    assert policy == POLICY
    assert policy.digest != replace(POLICY, min_svn=1).digest
    assert not AppraisalPolicy.from_json({}).measurements


@pytest.mark.parametrize(
    "value",
    [
        {"measurement": [CODE]},
        {"measurements": CODE},
        {"measurements": [CODE.upper()]},
        {"measurements": [1]},
        {"allow_simulated": "yes"},
        {"allow_simulated": 1},
        {"min_svn": True},
        {"max_age_s": -1},
        {"allowed_tees": ["sgx2"]},
        [],
        None,
    ],
)
def test_malformed_policies(value: Any) -> None:
    with pytest.raises(SecureFlowError) as error:
        AppraisalPolicy.from_json(value)
    assert error.value.code == "policy_malformed"


GOOD = canonical_bytes(evidence().as_json())


def test_evidence_round_trip() -> None:
    assert parse_evidence(GOOD) == evidence()
    assert parse_evidence(json.loads(GOOD)) == evidence()
    assert parse_evidence(evidence(collateral=None).as_json()).collateral is None
    assert evidence().digest != evidence(collected_at=NOW + 1).digest


_NASTY: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    0.5,
    "",
    "x" * 5000,
    "A" * 200_000,
    "\0",
    "\ud800",
    [],
    {},
    [{}],
    {"nonce": 1},
]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        GOOD + b" " * 300_000,
        {**evidence().as_json(), "collateral": {"x": "y" * 300_000}},
        {**evidence().as_json(), "extra": 1},
        {**evidence().as_json(), "runtime_data": {**RUNTIME, "extra": "1"}},
        {**evidence().as_json(), "blob": "A" * (4 * 64 * 1024)},
        {**evidence().as_json(), "tee": "simulated"},
        {**evidence().as_json(), "collateral": "text"},
        {**evidence().as_json(), "tee": ["sgx"]},
        {**evidence().as_json(), "blob": 1},
        {**evidence().as_json(), "blob": "not base64"},
        {**evidence().as_json(), "collected_at": "now"},
        {**evidence().as_json(), "collected_at": True},
        {**evidence().as_json(), "collected_at": -1},
        {**evidence().as_json(), "collected_at": 2**40},
        {**evidence().as_json(), "runtime_data": None},
        {**evidence().as_json(), "runtime_data": {**RUNTIME, "nonce": 1}},
        {**evidence().as_json(), "runtime_data": {**RUNTIME, "nonce": "A" * 64}},
        {**evidence().as_json(), "runtime_data": {**RUNTIME, "hpke": "A" * 5000}},
    ],
)
def test_malformed_evidence(value: Any) -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_evidence(value)
    assert error.value.code == "evidence_malformed"
    assert error.value.details["stage"] == "authentic"


def mutated(seed: int) -> Any:
    rng = Random(seed)
    value = json.loads(GOOD)
    target = value["runtime_data"] if rng.random() < 0.4 else value
    for name in rng.sample(sorted(target), rng.randint(1, 3)):
        target[name] = rng.choice(_NASTY)
    return value


def refuses_or_reads(seed: int) -> None:
    value = mutated(seed)
    try:
        parsed = parse_evidence(value)
    except SecureFlowError as error:
        if error.code != "evidence_malformed":
            raise
        return
    assert parsed.as_json() == value


@pytest.mark.slow
@given(st.integers(0, 2**64))
@settings(max_examples=600, deadline=None)
def test_fuzzed_evidence_is_a_typed_error(seed: int) -> None:
    refuses_or_reads(seed)


@pytest.mark.soak
@given(st.integers(0, 2**64))
@settings(max_examples=1_000_000, deadline=None)
def test_soak_fuzzed_evidence(seed: int) -> None:
    refuses_or_reads(seed)


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_random_bytes_are_no_evidence(data: bytes) -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_evidence(data)
    assert error.value.code == "evidence_malformed"
