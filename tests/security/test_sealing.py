"""A malicious operator or member between agents and a sealed round (docs/threat-model.md,
"Sealed mode").

The enclave here is the protocol's core without a network: header, opener, fold, certificate,
release. Each test is one attack; all must end in a typed error and without a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from secureflow.engines.closing import (
    Certificate,
    Question,
    Vote,
    cast_vote,
    certify,
    may_vote,
    round_context,
    verify_certificate,
)
from secureflow.engines.sealing import (
    Binding,
    BufferPool,
    FixedPointAccumulator,
    Opener,
    RecipientKey,
    RoundRelease,
    SealedUpdate,
    parse_header,
    seal,
    tensor_digest,
    update_manifest,
    verify_release,
)
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

JOB, SPEC, STAGE = "job_1", "5" * 64, "train"
D, K = 1000, 2
KEYS = {party: SigningKey.generate() for party in ("bank-a", "bank-b", "bank-c", "bank-d")}
ROSTER = {party: key.public for party, key in KEYS.items()}
EVIDENCE = "e" * 64


class Enclave:
    """One sealed round at a time, on one model."""

    def __init__(self) -> None:
        self.recipient = RecipientKey.generate()
        self.release_key = SigningKey.generate()
        self.model = np.zeros(D, np.float32)
        self.round = 0
        self.folded: list[str] = []
        self.pool = BufferPool(1, 4 * D + 8 * K)
        self.total = FixedPointAccumulator(
            D, K, max_weight=100, total_weight_cap=400, clip_norm=100.0, max_abs=100.0
        )

    def expected(self, party: str) -> Binding:
        return Binding(
            JOB,
            self.round,
            STAGE,
            party,
            SPEC,
            tensor_digest(self.model),
            EVIDENCE,
            update_manifest(D, K),
        )

    def accept(self, party: str, header: bytes, chunks: Sequence[bytes], trailer: bytes) -> None:
        opener = Opener(self.recipient, parse_header(header), self.expected(party), ROSTER[party])
        buffer = self.pool.take()
        assert buffer is not None
        try:
            opener.attach(buffer)
            for chunk in chunks:
                opener.write(chunk)
            update = opener.finish(trailer)
            self.total.fold(update.parameters, update.sums)
        finally:
            self.pool.give(buffer)
        self.folded.append(party)

    def release(self, certificate: Certificate) -> dict[str, Any]:
        verify_certificate(certificate, ROSTER)
        if list(certificate.survivors) != sorted(self.folded):
            raise SecureFlowError("survivors_mismatch", "folded another set")
        self.model += self.total.mean()[:].astype(np.float32)
        sums = tuple(self.total.sums().tolist())
        digest = tensor_digest(self.model)
        release = RoundRelease(JOB, SPEC, self.round, STAGE, certificate.survivors, digest, sums)
        self.round, self.folded = self.round + 1, []
        self.total.reset()
        return release.sign(self.release_key)

    def context(self) -> str:
        return round_context(
            JOB,
            self.round,
            STAGE,
            spec=SPEC,
            model=tensor_digest(self.model),
            roster=sorted(ROSTER),
        )


def update(value: float, weight: float = 10.0) -> bytearray:
    return bytearray(np.full(D, value, np.float32).tobytes() + np.array([weight, 1.0]).tobytes())


def sealed(
    enclave: Enclave, party: str, value: float, signer: SigningKey | None = None, **changes: Any
) -> SealedUpdate:
    binding = enclave.expected(party)
    fields = {**vars(binding), **changes}
    return seal(
        Binding(**fields),
        memoryview(update(value)),
        enclave.recipient.public,
        signer or KEYS[party],
    )


def send(enclave: Enclave, party: str, sent: SealedUpdate) -> None:
    enclave.accept(party, sent.header_bytes, list(sent.chunks()), sent.trailer())


def question(enclave: Enclave, survivors: Sequence[str]) -> Question:
    dead = tuple(sorted(set(ROSTER) - set(survivors)))
    return Question(JOB, enclave.round, STAGE, enclave.context(), tuple(sorted(survivors)), dead)


def code(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


@pytest.fixture
def enclave() -> Enclave:
    return Enclave()


def play(enclave: Enclave, values: dict[str, float]) -> dict[str, Any]:
    for party, value in values.items():
        send(enclave, party, sealed(enclave, party, value))
    asked = question(enclave, tuple(values))
    return enclave.release(certify([cast_vote(asked, one, KEYS[one]) for one in values]))


def test_an_honest_round(enclave: Enclave) -> None:
    value = play(enclave, {"bank-a": 0.1, "bank-b": 0.2, "bank-c": 0.3, "bank-d": 0.4})
    release = verify_release(value, job=JOB, spec=SPEC, release_key=enclave.release_key.public)
    assert release.model == tensor_digest(enclave.model)
    assert release.sums == (40.0, 4.0)
    np.testing.assert_allclose(enclave.model, 0.25, rtol=1e-6)


def test_operator_seals_zero_updates_in_the_others_names(enclave: Enclave) -> None:
    """HPKE base mode lets anyone seal; without signatures the rest would be one party's update."""
    operator = SigningKey.generate()
    send(enclave, "bank-a", sealed(enclave, "bank-a", 0.7))
    for party in ("bank-b", "bank-c"):
        with pytest.raises(SecureFlowError) as error:
            send(enclave, party, sealed(enclave, party, 0.0, signer=operator))
        assert code(error) == "update_forged"
    assert enclave.folded == ["bank-a"]
    assert enclave.total.count == 1


def test_one_member_seals_as_another(enclave: Enclave) -> None:
    with pytest.raises(SecureFlowError) as error:
        send(enclave, "bank-b", sealed(enclave, "bank-b", 0.0, signer=KEYS["bank-a"]))
    assert code(error) == "update_forged"


def test_one_members_update_sent_as_anothers(enclave: Enclave) -> None:
    with pytest.raises(SecureFlowError) as error:
        send(enclave, "bank-b", sealed(enclave, "bank-a", 0.5))
    assert code(error) == "update_unexpected"


def test_last_rounds_update_replayed(enclave: Enclave) -> None:
    values = {"bank-a": 0.1, "bank-b": 0.2, "bank-c": 0.3}
    old = sealed(enclave, "bank-a", 0.1)
    play(enclave, values)
    with pytest.raises(SecureFlowError) as error:
        send(enclave, "bank-a", old)
    assert code(error) == "stale_round"


def test_update_for_a_model_that_the_enclave_does_not_hold(enclave: Enclave) -> None:
    with pytest.raises(SecureFlowError) as error:
        send(enclave, "bank-a", sealed(enclave, "bank-a", 0.1, model="0" * 64))
    assert code(error) == "stale_round"


def test_update_sealed_under_other_evidence(enclave: Enclave) -> None:
    with pytest.raises(SecureFlowError) as error:
        send(enclave, "bank-a", sealed(enclave, "bank-a", 0.1, evidence="0" * 64))
    assert code(error) == "update_unexpected"


def test_bodies_swapped_between_two_updates(enclave: Enclave) -> None:
    one, two = sealed(enclave, "bank-a", 0.1), sealed(enclave, "bank-a", 0.2)
    list(one.chunks())
    with pytest.raises(SecureFlowError) as error:
        enclave.accept("bank-a", one.header_bytes, list(two.chunks()), one.trailer())
    assert code(error) == "chunk_forged"


def test_a_poisoned_update_leaves_no_trace(enclave: Enclave) -> None:
    for value in (np.nan, np.inf, 1e9):
        with pytest.raises(SecureFlowError):
            send(enclave, "bank-a", sealed(enclave, "bank-a", value))
    heavy = seal(
        enclave.expected("bank-a"),
        memoryview(update(0.1, weight=101.0)),
        enclave.recipient.public,
        KEYS["bank-a"],
    )
    with pytest.raises(SecureFlowError) as error:
        send(enclave, "bank-a", heavy)
    assert code(error) == "weight_out_of_bounds"
    assert not enclave.total.fixed.any()
    send(enclave, "bank-a", sealed(enclave, "bank-a", 0.1))


def test_failed_uploads_give_their_buffer_back(enclave: Enclave) -> None:
    operator = SigningKey.generate()
    for _ in range(5):
        with pytest.raises(SecureFlowError):
            send(enclave, "bank-a", sealed(enclave, "bank-a", 0.0, signer=operator))
    send(enclave, "bank-a", sealed(enclave, "bank-a", 0.1))


def test_nothing_is_released_without_a_quorum_or_for_another_set(enclave: Enclave) -> None:
    for party in ("bank-a", "bank-b", "bank-c"):
        send(enclave, party, sealed(enclave, party, 0.1))
    survivors = ("bank-a", "bank-b", "bank-c")
    asked = question(enclave, survivors)
    votes = [cast_vote(asked, party, KEYS[party]) for party in survivors]
    with pytest.raises(SecureFlowError) as error:
        enclave.release(certify(votes[:2]))
    assert code(error) == "certificate_short"
    everyone = question(enclave, tuple(ROSTER))
    claimed = certify([cast_vote(everyone, party, KEYS[party]) for party in ROSTER])
    with pytest.raises(SecureFlowError) as error:
        enclave.release(claimed)
    assert code(error) == "survivors_mismatch"
    enclave.release(certify(votes))


def test_roster_shrinking_to_a_victim_and_one_accomplice(enclave: Enclave) -> None:
    asked = question(enclave, ("bank-a", "bank-b"))
    with pytest.raises(SecureFlowError) as error:
        may_vote([], asked, voter="bank-a", context=enclave.context(), roster=ROSTER)
    assert code(error) == "survivors_too_few"
    votes = [cast_vote(asked, party, KEYS[party]) for party in ("bank-a", "bank-b")]
    with pytest.raises(SecureFlowError) as error:
        enclave.release(certify(votes))
    assert code(error) == "survivors_too_few"


def test_release_kill_release_with_another_set() -> None:
    """After a kill the operator asks for a second set of the same round: honest parties refuse."""
    first = Enclave()
    everyone = tuple(ROSTER)
    asked = question(first, everyone)
    disk: dict[str, list[Vote]] = {
        party: [cast_vote(asked, party, KEYS[party])] for party in ROSTER
    }
    restarted = Enclave()
    smaller = question(restarted, ("bank-a", "bank-b", "bank-c"))
    collected = []
    for party in smaller.survivors:
        try:
            may_vote(disk[party], smaller, voter=party, context=smaller.context, roster=ROSTER)
        except SecureFlowError as error:
            assert error.code == "vote_already_cast"  # noqa: PT017 - counted below
            continue
        collected.append(party)
    assert collected == []
    # The first certificate still stands for the restarted enclave.
    for party in everyone:
        send(restarted, party, sealed(restarted, party, 0.1))
    restarted.release(certify([vote for votes in disk.values() for vote in votes]))


def test_a_model_that_the_enclave_did_not_sign(enclave: Enclave) -> None:
    value = play(enclave, {"bank-a": 0.1, "bank-b": 0.2, "bank-c": 0.3})
    operator = SigningKey.generate()
    poisoned = {**value, "model": tensor_digest(np.ones(D, np.float32))}
    forged = RoundRelease(JOB, SPEC, 0, STAGE, tuple(ROSTER), poisoned["model"], (1.0, 1.0))
    for attempt in (poisoned, forged.sign(operator), {**value, "round": 1}):
        with pytest.raises(SecureFlowError) as error:
            verify_release(attempt, job=JOB, spec=SPEC, release_key=enclave.release_key.public)
        assert code(error) == "unreleased_model"


def test_the_enclaves_reader_stops_at_the_plan(enclave: Enclave) -> None:
    """A party that announces a huge tensor gets a refusal before a byte is allocated for it."""
    huge = update_manifest(1 << 37, K)
    sent = sealed(enclave, "bank-a", 0.1)
    header = parse_header(sent.header_bytes)
    lying = Binding(**{**vars(header.binding), "manifest": huge})
    with pytest.raises(SecureFlowError) as error:
        Opener(
            enclave.recipient,
            type(header)(lying, header.encapsulated),
            enclave.expected("bank-a"),
            ROSTER["bank-a"],
        )
    assert code(error) == "manifest_mismatch"
