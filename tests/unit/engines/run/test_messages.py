"""Messages: what scripts ask is what its receiver reads, member for member; replies have bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from secureflow.engines.run.asking import ask
from secureflow.engines.run.messages import (
    REPLIES,
    AdmitRequest,
    AdvanceRequest,
    AnswerRequest,
    AttestRequest,
    ChallengeReply,
    ChallengeRequest,
    CloseRequest,
    CollectRequest,
    ConsentRequest,
    CosignRequest,
    FinishReply,
    FinishRequest,
    ForgetRequest,
    HandOverRequest,
    KeepRequest,
    MaskRequest,
    OpenRequest,
    PeerOfferRequest,
    PeerRunReply,
    PeerRunRequest,
    ReceiveRequest,
    ReleaseRequest,
    RollRequest,
    SealRequest,
    SetupRequest,
    StepRequest,
    SumRequest,
    TrainReply,
    TrainRequest,
    UnlockRequest,
    as_body,
    read,
    read_reply,
)
from secureflow.engines.run.stages import MAX_STAGES
from secureflow.engines.script import AGGREGATOR, ENCLAVE, Ask, Effect
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden
from tests.unit.engines.run.test_ending import COURSES, world_of

REQUESTS = {
    one.verb: one
    for one in (
        ConsentRequest, ChallengeRequest, AdmitRequest, TrainRequest, CloseRequest, SetupRequest,
        AdvanceRequest, MaskRequest, AnswerRequest, KeepRequest, CosignRequest, FinishRequest,
        ReceiveRequest, SealRequest, HandOverRequest, CollectRequest, OpenRequest, AttestRequest,
        RollRequest, ReleaseRequest, SumRequest, PeerOfferRequest, PeerRunRequest, StepRequest,
    )
}  # fmt: skip
ADDERS = {ENCLAVE, AGGREGATOR}
JOB = {"job": "job_0000000001", "digest": "ab" * 32}


def seen(kind: str, name: str) -> set[str]:
    """Play a course; read each body as its receiver does, and each reply as the runner does."""
    world, verbs = world_of(kind), set()
    perform = world.perform

    def reading(seq: int, effect: Effect) -> Any:
        answer = perform(seq, effect)
        if isinstance(effect, Ask):
            verbs.add(effect.verb)
            for party in effect.to:
                check_request(effect.verb, party, {**effect.body, **effect.each.get(party, {})})
            for party, reply in answer["replies"].items():
                read_reply(REPLIES[effect.verb], party, effect.verb, reply)
        return answer

    world.perform = reading  # type: ignore[method-assign]
    COURSES[name][1](world)
    return verbs


def check_request(verb: str, party: str, body: dict[str, Any]) -> None:
    if verb == "finish" and party in ADDERS:
        assert read(ForgetRequest, body).job == body["job"]
        return
    request = read(REQUESTS[verb], body)
    assert {name: value for name, value in as_body(request).items() if name in body} == {
        name: as_sent(verb, name, value) for name, value in body.items()
    }


def as_sent(verb: str, name: str, value: Any) -> Any:
    """A masked round shows where a model is, and nothing that vouches for it."""
    if verb == "mask" and name == "model" and value:
        return {**value, "release": None, "keys": None}
    return value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "verbs"),
    [
        ("sealed", "dropped", {"consent", "challenge", "admit", "train", "close", "finish",
                               "cosign", "open", "attest", "roll", "release"}),
        ("secagg", "success", {"setup", "advance", "mask", "answer", "sum"}),
        ("sealed+secagg", "success", {"mask", "answer", "release"}),
        ("statistics", "accusation", {"mask", "finish"}),
        ("prediction", "success", {"consent", "keep", "finish"}),
        ("delivered", "success", {"keep", "receive", "seal", "hand_over", "collect"}),
        ("psi", "success", {"consent", "peer_offer", "peer_run", "finish"}),
    ],
)  # fmt: skip
def test_both_ends_read_alike(kind: str, name: str, verbs: set[str]) -> None:
    assert verbs <= seen(kind, name)


def test_null_is_written_and_only_marked_members_are_left_out() -> None:
    finish = FinishRequest(**JOB, outcome="failed", head="h")
    assert as_body(finish) == {**JOB, "outcome": "failed", "head": "h", "model": None}
    roll = RollRequest(job=JOB["job"], round=1, stage="train")
    assert as_body(roll) == {"job": JOB["job"], "round": 1, "stage": "train"}
    release = ReleaseRequest(job=JOB["job"], round=1, stage="train", certificate={})
    assert "opened" not in as_body(release)
    assert as_body(FinishReply(cosignature="")) == {"cosignature": ""}
    assert as_body(FinishReply(cosignature="c", leaf={}, leaves=())) == {
        "cosignature": "c", "leaf": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        (lambda: TrainRequest, {"round": True}),
        (lambda: TrainRequest, {"generation": 0}),
        (lambda: TrainRequest, {"more": 1}),
        (lambda: TrainRequest, {"moments": {"sums": [float("inf")], "release": {}}}),
    ],
)
def test_what_a_request_may_hold_is_bounded(
    made: Callable[[], type[Any]], changes: dict[str, Any]
) -> None:
    body = {
        **JOB, "round": 1, "stage": "train", "generation": 1, "head": "", "model": None,
        "moments": None, "uplink": {"address": "127.0.0.1:1"},
    }  # fmt: skip
    assert as_body(read(made(), body)) == body
    with pytest.raises(SecureFlowError) as caught:
        read(made(), body | changes)
    assert caught.value.code == "invalid_request"


def test_the_stages_of_one_request_are_few_and_have_short_names() -> None:
    def advance(stages: list[str]) -> dict[str, Any]:
        return {**JOB, "meet": dict.fromkeys(stages, ""), "rounds": dict.fromkeys(stages, 0)}

    most = [f"stage-{number}" for number in range(MAX_STAGES)]
    assert as_body(read(AdvanceRequest, advance(most))) == advance(most)
    for stages in ([*most, "more"], ["Train"], [""], ["s" * 33], ["stage\n"], ["-"]):
        with pytest.raises(SecureFlowError) as caught:
            read(AdvanceRequest, advance(stages))
        assert caught.value.code == "invalid_request"


def test_a_malformed_answer_in_a_journal_is_its_partys_failure() -> None:
    """A journal of before a bound was set may hold one: the script goes on without that party."""
    script = ask(("a", "b"), ChallengeRequest(**JOB, generation=1), need=0, patience=1.0)
    assert next(script) == Ask(
        ("a", "b"), "challenge", {**JOB, "generation": 1}, {}, need=0, patience=1.0
    )
    good = {"nonce": "00", "recipient": "", "signature": "", "more": 1}
    with pytest.raises(StopIteration) as stop:
        script.send({"replies": {"a": good, "b": {"nonce": 1}}, "failures": {}})
    answers = stop.value.value
    assert answers.replies == {"a": ChallengeReply(nonce="00", recipient="", signature="")}
    assert answers.failures["b"]["code"] == "malformed_reply"


def test_members_that_may_be_missing_may_be_null() -> None:
    reply = {"rows": None, "cosignature": None, "leaf": None, "receipt": {"a": 1}}
    assert read_reply(TrainReply, "a", "train", reply) == TrainReply(receipt={"a": 1})


def test_every_verb_has_one_answer() -> None:
    assert set(REQUESTS) | {"unlock"} == set(REPLIES)


@pytest.mark.parametrize("name", ["\x1b[2J\u202e", "k" * 100_000, "\x1b" * 10_000])
@pytest.mark.parametrize(
    ("of", "body"),
    [
        (UnlockRequest, lambda name: {"job": "j", "model_keys": {name: 1}}),
        (AttestRequest, lambda name: {"job": "j", "nonces": {name: 1}}),
        (SumRequest, lambda name: {"job": "j", "vectors": {name: 1}}),
        (CosignRequest, lambda name: {"head": "", name: 1}),
    ],
)
def test_names_of_others_are_quoted_short_and_visible(
    of: type[Any], body: Callable[[str], dict[str, Any]], name: str
) -> None:
    for reading in (lambda: read(of, body(name)), lambda: read_reply(of, "a", "v", body(name))):
        with pytest.raises(SecureFlowError) as caught:
            reading()
        assert not hidden(caught.value.message)
        assert len(caught.value.message) < 1000
        for one in caught.value.details.get("fields", []):
            assert not hidden(one["field"])
            assert len(one["field"]) <= 128


@pytest.mark.parametrize(
    ("of", "body", "changes"),
    [
        (PeerOfferRequest, {"program": "ab" * 32, "head": ""}, {"attempt": 0}),
        (PeerOfferRequest, {"program": "ab" * 32, "head": ""}, {"program": "ab"}),
        (PeerRunRequest, {"statements": {}, "offers": {}}, {"attempt": True}),
        (PeerRunRequest, {"statements": {}, "offers": {}}, {"statements": {"A!": {}}}),
        (PeerRunRequest, {"statements": {}, "offers": {}},
         {"offers": {"bank-a": {"x": "y" * (1 << 14)}}}),
        (PeerRunRequest, {"statements": {}, "offers": {}},
         {"statements": {f"bank-{n}": {} for n in range(300)}}),
    ],
)  # fmt: skip
def test_what_peers_are_shown_of_each_other_is_bounded(
    of: type[Any], body: dict[str, Any], changes: dict[str, Any]
) -> None:
    whole = {**JOB, "attempt": 1, **body}
    assert as_body(read(of, whole)) == whole
    with pytest.raises(SecureFlowError) as caught:
        read(of, whole | changes)
    assert caught.value.code == "invalid_request"


def test_what_a_party_tells_of_a_run_is_small() -> None:
    told = {"attempt": 1, "figures": {"keys": 3}, "channels": {}, "seconds": 1.0}
    assert read_reply(PeerRunReply, "a", "peer_run", told).figures == {"keys": 3}
    for wrong in (
        {"figures": {"keys": ["x"] * 70_000}}, {"figures": {"a": "\u202e"}}, {"seconds": -1.0},
        {"channels": {"bank-b": {"sent": -1, "received": 0}}}, {"attempt": 0},
    ):  # fmt: skip
        with pytest.raises(SecureFlowError) as caught:
            read_reply(PeerRunReply, "a", "peer_run", {**told, **wrong})
        assert caught.value.code == "malformed_reply"
