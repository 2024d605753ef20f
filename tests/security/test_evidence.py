"""A malicious operator shows evidence: nothing may be sealed to it (docs/threat-model.md, "Sealed
mode").

Each test is one attack on the agent's decision; the agent here is exactly what it does before it
seals: parse, verify, appraise with its own nonce and policy, and only then use the HPKE key.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from secureflow.adapters.tee import SimulatedAttester, SimulatedPlatform
from secureflow.adapters.tee.dcap import DcapVerifier
from secureflow.engines.attestation import (
    AppraisalPolicy,
    Challenge,
    Evidence,
    Verdict,
    attest,
    parse_evidence,
    runtime_data,
)
from secureflow.engines.sealing import RecipientKey
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

NOW = int(time.time())
CODE, OTHER_CODE = "ab" * 32, "cd" * 32
JOB, SPEC = "job_1", "b" * 64


@dataclass
class Enclave:
    """An honest enclave's answer to a nonce."""

    platform: SimulatedPlatform
    measurement: str = CODE
    debug: bool = False
    job: str = JOB
    spec: str = SPEC
    recipient: RecipientKey = field(default_factory=RecipientKey.generate)
    release: SigningKey = field(default_factory=SigningKey.generate)

    def answer(self, nonce: str, now: int = NOW) -> Evidence:
        runtime = runtime_data(
            nonce=nonce,
            hpke=self.recipient.public,
            release=self.release.public,
            job=self.job,
            spec=self.spec,
        )
        attester = SimulatedAttester(self.platform, measurement=self.measurement, debug=self.debug)
        return attester.attest(runtime, now)


@dataclass
class Agent:
    """An agent with its own root file, policy and nonce."""

    root: str
    policy: AppraisalPolicy = AppraisalPolicy(measurements=(CODE,), allow_simulated=True)  # noqa: RUF009
    nonce: str = field(default_factory=lambda: secrets.token_hex(32))

    def judge(self, evidence: Evidence, now: int = NOW) -> Verdict:
        wire = json.dumps(evidence.as_json()).encode()
        challenge = Challenge(self.nonce, JOB, SPEC, NOW)
        return attest(
            DcapVerifier(self.root or None), parse_evidence(wire), challenge, self.policy, now
        )


PLATFORM = SimulatedPlatform.generate(NOW)


@pytest.fixture
def agent() -> Agent:
    return Agent(PLATFORM.root_pem)


@pytest.fixture
def enclave() -> Enclave:
    return Enclave(PLATFORM)


def refused(agent: Agent, evidence: Evidence, now: int = NOW) -> tuple[str, str, str]:
    with pytest.raises(SecureFlowError) as error:
        agent.judge(evidence, now)
    assert error.value.hint
    return error.value.code, error.value.details["stage"], error.value.details["leg"]


def test_the_honest_enclave_passes(agent: Agent, enclave: Enclave) -> None:
    evidence = enclave.answer(agent.nonce)
    verdict = agent.judge(evidence)
    assert verdict.hpke == enclave.recipient.public
    assert verdict.evidence == evidence.digest
    assert verdict.title.startswith("SIMULATED")


def test_replayed_evidence(agent: Agent, enclave: Enclave) -> None:
    old = enclave.answer(secrets.token_hex(32))
    assert refused(agent, old) == ("evidence_not_fresh", "fresh", "nonce")


def test_replayed_evidence_with_the_new_nonce_written_in(agent: Agent, enclave: Enclave) -> None:
    old = enclave.answer(secrets.token_hex(32))
    forged = replace(old, runtime_data={**old.runtime_data, "nonce": agent.nonce})
    assert refused(agent, forged) == ("evidence_not_bound", "fresh", "report_data")


def test_one_agents_evidence_serves_no_other(agent: Agent, enclave: Enclave) -> None:
    other = Agent(PLATFORM.root_pem)
    assert refused(agent, enclave.answer(other.nonce))[0] == "evidence_not_fresh"


@pytest.mark.parametrize("key", ["hpke", "release"])
def test_the_operators_own_key_behind_a_genuine_report(
    agent: Agent, enclave: Enclave, key: str
) -> None:
    evidence = enclave.answer(agent.nonce)
    mine = {"hpke": RecipientKey.generate().public, "release": SigningKey.generate().public}[key]
    forged = replace(evidence, runtime_data={**evidence.runtime_data, key: mine})
    assert refused(agent, forged) == ("evidence_not_bound", "fresh", "report_data")


def test_evidence_for_another_job_or_spec(agent: Agent) -> None:
    other_job = Enclave(PLATFORM, job="job_2").answer(agent.nonce)
    assert refused(agent, other_job) == ("evidence_not_bound", "fresh", "job")
    other_spec = Enclave(PLATFORM, spec="c" * 64).answer(agent.nonce)
    assert refused(agent, other_spec) == ("evidence_not_bound", "fresh", "spec")


def test_changed_code(agent: Agent) -> None:
    evil = Enclave(PLATFORM, measurement=OTHER_CODE).answer(agent.nonce)
    assert refused(agent, evil) == ("evidence_not_acceptable", "acceptable", "measurement")


def test_debug_enclave(agent: Agent) -> None:
    open_to_host = Enclave(PLATFORM, debug=True).answer(agent.nonce)
    assert refused(agent, open_to_host) == ("evidence_not_acceptable", "acceptable", "debug")


def test_unknown_root(agent: Agent) -> None:
    elsewhere = Enclave(SimulatedPlatform.generate(NOW)).answer(agent.nonce)
    assert refused(agent, elsewhere) == ("evidence_not_authentic", "authentic", "root")


def test_simulation_sold_as_hardware(enclave: Enclave) -> None:
    """Without its own root file, or without allow_simulated, an agent takes no simulation."""
    no_root = Agent("")
    assert refused(no_root, enclave.answer(no_root.nonce))[2] == "root"
    strict = Agent(PLATFORM.root_pem, AppraisalPolicy(measurements=(CODE,)))
    assert refused(strict, enclave.answer(strict.nonce)) == (
        "evidence_not_acceptable",
        "acceptable",
        "simulated",
    )


def test_no_reference_values(enclave: Enclave) -> None:
    naive = Agent(PLATFORM.root_pem, AppraisalPolicy(allow_simulated=True))
    assert refused(naive, enclave.answer(naive.nonce))[2] == "measurement"


def test_out_of_date_and_revoked_platforms(agent: Agent) -> None:
    old = Enclave(PLATFORM.pretending(status="OutOfDate")).answer(agent.nonce)
    assert refused(agent, old) == ("evidence_not_acceptable", "acceptable", "tcb")
    broken = Enclave(PLATFORM.pretending(revoked=True)).answer(agent.nonce)
    assert refused(agent, broken)[:2] == ("evidence_not_authentic", "authentic")


def test_stale_evidence(agent: Agent, enclave: Enclave) -> None:
    evidence = enclave.answer(agent.nonce)
    later = NOW + agent.policy.max_age_s + 1
    assert refused(agent, evidence, later) == ("evidence_not_fresh", "fresh", "age")
    assert refused(agent, evidence, NOW + 40 * 86_400)[1] == "authentic"
    assert agent.judge(evidence).expires < later  # then `test_a_verdict_expires`


def test_collateral_of_a_better_day(agent: Agent) -> None:
    """A revoked platform cannot staple the CRL from before its revocation once that has ended."""
    revoked = PLATFORM.pretending(revoked=True)
    evidence = Enclave(revoked).answer(agent.nonce)
    good_old = PLATFORM.collateral(NOW - 31 * 86_400)
    assert evidence.collateral is not None
    mixed = replace(evidence, collateral={**evidence.collateral, "pck_crl": good_old["pck_crl"]})
    assert refused(agent, mixed)[1] == "authentic"


@pytest.mark.parametrize("tee", ["tdx", "sev-snp"])
def test_mislabelled_technology(agent: Agent, enclave: Enclave, tee: str) -> None:
    evidence = replace(enclave.answer(agent.nonce), tee=tee)
    assert refused(agent, evidence) == ("evidence_not_bound", "fresh", "tee")


def test_the_status_cannot_be_edited_on_the_way(agent: Agent) -> None:
    evidence = Enclave(PLATFORM.pretending(status="OutOfDate")).answer(agent.nonce)
    assert evidence.collateral is not None
    info = evidence.collateral["tcb_info"].replace("OutOfDate", "UpToDate")
    edited: dict[str, Any] = {**evidence.collateral, "tcb_info": info}
    assert refused(agent, replace(evidence, collateral=edited))[1] == "authentic"
