"""The training script without a network: driven whole, crashed everywhere, attacked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.ledger.leaves import leaf_from_json, sign_leaf
from secureflow.engines.run import admission
from secureflow.engines.run.run import Course, accusations
from secureflow.engines.script import ENCLAVE, Record, effect_digest
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.training import federated
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, text_in
from secureflow.texts import chinese
from tests.full import thinned

from . import world as world_module
from .world import JOB, Crash, Journal, World, drive, told_dropouts

pytestmark = pytest.mark.slow


def test_trains_to_a_report() -> None:
    world = World()
    report = drive(world, [])
    assert world.states == ["proposed", "approved", "admitted", "running"]
    assert report["rounds"] == 3
    assert not report["stopped_early"]
    assert report["ledger"]["cosigners"] == ["bank-a", "bank-b", "bank-c"]
    assert report["contributions"]["bank-a"] == {"rounds": 3, "rows": 100}
    kinds = [e.get("kind") or e["signed"]["leaf"]["kind"] for e in world.entries]
    assert kinds.count("approval") == 3
    assert kinds.count("round.closed") == 4  # three trainings and the final evaluation
    assert kinds[-5:] == ["job.finished", *["finished"] * 3, "job.closed"]
    assert report["model"]["digest"] == world.models[0]["digest"]


def test_evidence_for_many_parties_comes_in_several_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One answer with the evidence of a hundred would be longer than a message may be."""
    monkeypatch.setattr(admission, "EVIDENCE_AT_ONCE", 2)
    asked: list[int] = []

    class Noting(World):
        def enclave_attest(self, body: dict[str, Any]) -> dict[str, Any]:
            asked.append(len(body["nonces"]))
            return super().enclave_attest(body)

    report = drive(Noting(count=5), [])
    assert asked == [2, 2, 1]
    assert report["model"]["digest"] == drive(World(count=5), [])["model"]["digest"]
    lost = Noting(count=5, lose_enclave_at=3)  # between two of them: admission begins anew
    assert drive(lost, [])["generations"] == 2


def test_a_crash_at_every_effect_changes_nothing() -> None:
    base = World()
    journal: Journal = []
    want = drive(base, journal)
    for die_at in range(len(journal)):
        world, kept = World(), []
        with pytest.raises(Crash):
            drive(world, kept, die_at)
        assert drive(world, kept) == want
        assert world.entries == base.entries, f"recorded twice or lost at {die_at}"
        assert world.performed == base.performed


def test_a_changed_script_is_noticed() -> None:
    journal: Journal = []
    drive(World(), journal)
    journal[5] = ("0" * 64, *journal[5][1:])
    with pytest.raises(AssertionError, match="changed at 5"):
        drive(World(), journal)


PRIVATE = {"delta": 1e-6, "noise_multiplier": 2.0, "rows": 400}


def test_votes_fix_the_seeds_of_an_enclaves_noise() -> None:
    """The enclave itself says what binds them, each round; without noise it is not asked."""
    world = World(privacy=PRIVATE)
    drive(world, [])  # `enclave_release` compares the context
    assert world.asked.count((ENCLAVE, "roll")) == 3
    quiet = World()
    drive(quiet, [])
    assert (ENCLAVE, "roll") not in quiet.asked


@pytest.mark.parametrize("lost_at", thinned(range(1, 25), 2, pytest.mark.full))
def test_losing_an_enclave_that_draws_noise_gives_the_same_model(lost_at: int) -> None:
    """Lost before it told of the seeds: nobody has voted, and everybody seals to the new one."""
    want = drive(World(privacy=PRIVATE), [])
    world = World(privacy=PRIVATE, lose_enclave_at=lost_at)
    report = drive(world, [])
    assert report["model"]["digest"] == want["model"]["digest"]


@pytest.mark.parametrize("lost_at", thinned(range(1, 22), 2, pytest.mark.full))
def test_losing_the_enclave_anywhere_gives_the_same_model(lost_at: int) -> None:
    want = drive(World(), [])
    world = World(lose_enclave_at=lost_at)
    report = drive(world, [])
    assert report["model"]["digest"] == want["model"]["digest"]
    assert report["contributions"] == want["contributions"]
    for party, made in world.made.items():
        signed = [e["signed"] for e in world.entries if "signed" in e]
        recorded = [leaf for leaf in signed if leaf["leaf"]["author"] == party]
        assert recorded == [one["leaf"] for one in made], "a leaf is missing or out of order"


def test_one_of_four_gone_the_job_goes_on_with_three() -> None:
    world = World(count=4)
    world.refuse["bank-d", "train"] = SecureFlowError("party_silent", "bank-d is silent")
    report = drive(world, [])
    assert report["contributions"]["bank-d"] == {"rounds": 0, "rows": 0}
    assert {d["party"] for d in report["dropouts"]} == {"bank-d"}
    assert told_dropouts(world) == report["dropouts"]
    assert {d["round"] for d in told_dropouts(world)} == {1, 2, 3, 4}
    assert world.progress["tee"] == "SIMULATED SGX"
    assert all(row["survivors"] == 3 for row in report["history"])


@pytest.mark.parametrize("facts", [True, False])
def test_why_somebody_dropped_out_keeps_its_facts_for_every_language(facts: bool) -> None:
    """But for jobs that were submitted before: their effects are what they were."""
    world = World(count=4)
    world.context = replace(world.context, facts=facts)
    reason = Text("The bundle failed: {reason}.", reason="a method raised an exception")
    world.refuse["bank-d", "train"] = SecureFlowError("bundle_failed", reason)
    drive(world, [])
    dropped = json.loads(json.dumps(told_dropouts(world)[0]))  # as events are kept and sent
    assert dropped["reason"] == "The bundle failed: a method raised an exception."
    if facts:
        assert chinese(text_in(dropped, "reason")) == "代码包运行失败：某个方法抛出了异常。"
    else:
        assert dropped.keys() == {"party", "round", "stage", "code", "reason"}


def test_one_of_three_gone_fails_with_its_name() -> None:
    world = World()
    world.refuse["bank-b", "train"] = SecureFlowError("party_silent", "bank-b is silent")
    with pytest.raises(SecureFlowError, match="bank-b did not contribute") as caught:
        drive(world, [])
    assert caught.value.code == "too_few_contributors"
    finished, closed = (e for e in world.entries if e.get("kind") in ("job.finished", "job.closed"))
    assert finished["document"]["outcome"] == closed["document"]["outcome"] == "failed"
    assert [(d["party"], d["round"]) for d in told_dropouts(world)] == [("bank-b", 1)]


def test_whoever_submitted_code_that_fails_is_told_to_mend_it_and_not_an_agent() -> None:
    for code, told in (
        ("bundle_failed", f"agent bundle log {JOB}"),
        ("party_silent", "agents back"),
    ):
        world = World()
        world.refuse["bank-b", "train"] = SecureFlowError(code, "bank-b could not")
        with pytest.raises(SecureFlowError) as caught:
            drive(world, [])
        assert caught.value.code == "too_few_contributors"
        assert told in caught.value.hint


def test_a_certified_round_that_cannot_be_sealed_again_names_the_party() -> None:
    world = World()

    def vanish(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "close" and party == "bank-c":
            world._fresh_enclave()
            world.refuse["bank-c", "train"] = SecureFlowError("party_silent", "bank-c is silent")
        return reply

    world.liar = vanish
    with pytest.raises(SecureFlowError, match="bank-c cannot seal") as caught:
        drive(world, [])
    assert caught.value.code == "round_lost"


def test_a_refused_consent_ends_the_job() -> None:
    world = World()
    world.refuse["bank-a", "consent"] = SecureFlowError("consent_refused", "bank-a says no")
    with pytest.raises(SecureFlowError, match="bank-a says no"):
        drive(world, [])
    assert "running" not in world.states


def test_refused_evidence_gives_its_own_reason() -> None:
    world = World()
    error = SecureFlowError("evidence_not_fresh", "the nonce is old", "", {"stage": "fresh"})
    for party in world.keys:
        world.refuse[party, "admit"] = error
    with pytest.raises(SecureFlowError, match="the nonce is old") as caught:
        drive(world, [])
    assert caught.value.code == "evidence_not_fresh"


def _forge_approval(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
    if verb == "consent" and party == "bank-b":
        body = {**reply["approval"]["body"], "expires": 1}
        return {**reply, "approval": {**reply["approval"], "body": body}}
    return reply


def _forge_leaf(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
    if verb == "train" and party == "bank-b":
        leaf = {**reply["leaf"]["leaf"], "kind": "other"}
        forged = {**reply["leaf"], "leaf": leaf}
        return {**reply, "leaf": forged, "leaves": []}
    return reply


def _forge_earlier_leaf(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
    if verb == "train" and party == "bank-b":
        forged = {**reply["leaf"], "leaf": {**reply["leaf"]["leaf"], "kind": "other"}}
        return {**reply, "leaves": [{**reply, "leaf": forged}]}
    return reply


@pytest.mark.parametrize(
    ("liar", "code"),
    [
        (_forge_approval, "approval_forged"),
        (_forge_leaf, "leaf_forged"),
        (_forge_earlier_leaf, "leaf_forged"),
    ],
)
def test_what_a_party_did_not_sign_is_refused(liar: Any, code: str) -> None:
    world = World(liar=liar)
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == code


@pytest.mark.parametrize("field", ["party", "job", "spec"])
def test_an_approval_of_another_job_spec_or_party_is_refused(field: str) -> None:
    """bank-b signed it: for something else."""

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb != "consent" or party != "bank-b":
            return reply
        body = {**reply["approval"]["body"], field: "another"}
        signature = world.keys["bank-b"].sign("approval", body)
        return {**reply, "approval": {"body": body, "signature": signature}}

    world = World(liar=lie)
    with pytest.raises(SecureFlowError, match="bank-b") as caught:
        drive(world, [])
    assert caught.value.code == "approval_forged"


def test_only_parties_of_the_roster_accuse() -> None:
    world = World()
    offered = world._leaf("bank-a", "accusation", {"code": "stale_round"})
    failure = {"code": "stale_round", "details": {"accusation": offered}}
    leaf = replace(leaf_from_json(offered["leaf"]).leaf, author=ENCLAVE)
    own = {"leaf": sign_leaf(leaf, world.log_key).json()}
    enclave = {"code": "stale_round", "details": {"accusation": own}}
    assert accusations(Course(world.context), {ENCLAVE: enclave, "bank-b": failure}) == []
    assert len(accusations(Course(world.context), {"bank-a": failure})) == 1


@pytest.mark.parametrize("field", ["author", "job", "spec"])
def test_a_leaf_of_another_author_job_or_spec_is_refused(field: str) -> None:
    """bank-b's own signature stands under it: it is still not bank-b's leaf of this job."""

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb != "train" or party != "bank-b":
            return reply
        leaf = leaf_from_json(reply["leaf"]).leaf
        other = {"author": "bank-a", "job": "job_another123", "spec": "ab" * 32}[field]
        signed = sign_leaf(replace(leaf, **{field: other}), world.keys["bank-b"])
        return {**reply, "leaf": signed.json(), "leaves": []}

    world = World(liar=lie)
    with pytest.raises(SecureFlowError, match="bank-b") as caught:
        drive(world, [])
    assert caught.value.code == "leaf_forged"


def test_fewer_folded_updates_than_answers_open_nothing() -> None:
    """bank-c answered and the enclave holds nothing of it; with bank-d away two are left."""

    def lose(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "train" and party == "bank-c":
            world.folded[1, "train"].discard("bank-c")
        return reply

    world = World(count=4, liar=lose)
    world.refuse["bank-d", "train"] = SecureFlowError("party_silent", "bank-d is silent")
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "too_few_contributors"
    assert "close" not in {verb for _, verb in world.asked}


def test_votes_that_do_not_hold_do_not_count() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "close" and party == "bank-b":
            vote = {**reply["vote"], "signature": "A" * 86 + "=="}
            return {**reply, "vote": vote}
        return reply

    world = World(liar=lie)
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "certificate_short"
    assert (ENCLAVE, "release") not in world.asked  # found here, not by who would open


@pytest.mark.parametrize("how", ["another's name", "another set"])
def test_one_partys_false_vote_stops_nobody(how: str) -> None:
    """Signed by itself: for another voter, or on a set that nobody asked about."""

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb != "close" or party != "bank-d":
            return reply
        body = dict(reply["vote"]["body"])
        if how == "another's name":
            body["voter"] = "bank-b"
        else:
            body |= {"survivors": ["bank-a", "bank-b", "bank-d"], "dead": ["bank-c"]}
        return {**reply, "vote": {"body": body, "signature": world.keys[party].sign("vote", body)}}

    world = World(count=4, liar=lie)
    assert drive(world, [])["rounds"] == 3


def test_a_release_that_is_refused_ends_the_job_at_once() -> None:
    """Only an enclave that is gone is admitted anew; one that refuses has its reason."""
    world = World()
    world.refuse[ENCLAVE, "release"] = SecureFlowError("survivors_mismatch", "another set")
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "survivors_mismatch"
    assert world.asked.count((ENCLAVE, "open")) == 1


def test_a_head_without_a_quorum_of_cosignatures_stops_the_job() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, "cosignature": ""} if verb == "train" and party == "bank-b" else reply

    with pytest.raises(SecureFlowError) as caught:
        drive(World(liar=lie), [])
    assert caught.value.code == "head_not_cosigned"


def test_the_start_is_witnessed_by_the_charter_also_when_it_is_repeated() -> None:
    """Three of seven members train; the honest parties of `World` vote first under five of them."""
    for lost_at in (None, 3, 4, 5):
        world = World(members=4, lose_enclave_at=lost_at)
        assert drive(world, [])["rounds"] == 3


def test_a_start_that_too_few_members_witness_opens_nothing() -> None:
    world = World(members=4, lose_enclave_at=3)
    asked: list[str] = []

    def away(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "cosign" and party in {"bank-e", "bank-f", "bank-g"}:
            asked.append(party)
            if asked.count(party) > 1:  # they witnessed the first start, not the repeated one
                raise SecureFlowError("party_silent", f"{party} is away")
        return reply

    world.liar = away
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "too_few_answers"
    assert "close" not in {verb for _, verb in world.asked}


def test_cosignatures_that_do_not_hold_witness_no_start() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        return {"cosignature": ""} if verb == "cosign" and party > "bank-d" else reply

    world = World(members=4, liar=lie)
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert (caught.value.code, caught.value.details["needed"]) == ("head_not_cosigned", 5)
    assert "train" not in {verb for _, verb in world.asked}


@pytest.mark.parametrize("reachable", [True, False])
def test_who_votes_for_the_first_time_later_on_votes_under_the_charters_quorum(
    reachable: bool,
) -> None:
    """bank-d misses round 1. If the charter cannot be reached then, the others go on without it."""
    world = World(count=4, members=4)
    world.refuse["bank-d", "train"] = SecureFlowError("party_silent", "bank-d is silent")

    def back(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if ("bank-a", 1, "train") in world.votes:
            world.refuse.pop(("bank-d", "train"), None)
            if verb == "cosign" and not reachable:
                raise SecureFlowError("party_silent", f"{party} is away")
        return reply

    world.liar = back
    report = drive(world, [])
    assert report["rounds"] == 3
    refused = {(d["party"], d["code"]) for d in report["dropouts"] if d["code"] != "party_silent"}
    assert refused == (set() if reachable else {("bank-d", "head_not_cosigned")})
    assert any(voter == "bank-d" for voter, *_ in world.votes) == reachable


def test_what_was_signed_in_a_round_that_is_never_closed_is_recorded() -> None:
    """Else a party whose answer was late once misses its leaf, and alarms over an honest end."""
    world = World(count=4)

    def stop(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "close" and ("bank-a", 1, "train") in world.votes:
            world.refuse |= {
                (p, "close"): SecureFlowError("party_silent", f"{p} is silent") for p in world.keys
            }
        return reply

    world.liar = stop
    with pytest.raises(SecureFlowError, match="silent"):
        drive(world, [])
    recorded = [e["signed"] for e in world.entries if "signed" in e]
    for party, made in world.made.items():
        assert [one["leaf"] for one in made if one["leaf"] not in recorded] == [], party


def test_an_accusation_is_recorded_in_its_authors_order() -> None:
    """It comes with a refusal, before the update of the same round or after it."""
    world = World(count=4)
    offered: dict[str, Any] = {}

    def accuse(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if party != "bank-d" or verb != "close" or offered:
            return reply
        offered.update(world._leaf("bank-d", "accusation", {"code": "vote_already_cast"}))
        details = {"accusation": dict(offered)}
        raise SecureFlowError("vote_already_cast", "bank-d voted", "", details)

    world.liar = accuse
    drive(world, [])
    signed = [e["signed"]["leaf"] for e in world.entries if "signed" in e]
    kinds = [leaf["kind"] for leaf in signed if leaf["author"] == "bank-d"]
    assert kinds[:4] == ["approval", "attested", "update", "accusation"]
    made = [one["leaf"]["leaf"]["kind"] for one in world.made["bank-d"]]
    assert kinds == made


@settings(max_examples=20, deadline=None)
@given(lost=st.integers(1, 25), silent=st.sampled_from(["bank-a", "bank-d"]), count=st.just(4))
def test_any_mix_of_losses_ends_in_the_sum_of_survivors_or_a_named_failure(
    lost: int, silent: str, count: int
) -> None:
    world = World(count=count, lose_enclave_at=lost)
    world.refuse[silent, "train"] = SecureFlowError("party_silent", f"{silent} is silent")
    report = drive(world, [])
    assert report["contributions"][silent]["rounds"] == 0


def test_effects_have_stable_digests() -> None:
    effect = Record(({"kind": "x", "document": {"a": 1}},))
    assert effect_digest(effect) == effect_digest(Record(({"document": {"a": 1}, "kind": "x"},)))


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        # of the models before rounds 1, 2, 3, and of the last one
        ([9.0, 0.5, 0.2, 0.4], 2),
        ([9.0, 0.5, 0.5, 0.5], 1),
        ([0.1, 0.5, 0.4, 0.3], 3),
    ],
)
def test_the_best_model_is_released_where_the_plan_says_so(
    monkeypatch: pytest.MonkeyPatch, losses: list[float], kept: int
) -> None:
    make = world_module.make_spec

    def keeping(keys: Any, rounds: int, **more: Any) -> Any:
        return make(keys, rounds, plan={"rounds": rounds, "keep": "best"}, **more)

    monkeypatch.setattr(world_module, "make_spec", keeping)
    told = iter(losses)
    monkeypatch.setattr(federated, "summarise", lambda _spec, _sums: {"loss": next(told)})
    world = World()
    report = drive(world, [])
    wanted = tensor_digest(np.full(8, kept, np.float32))
    assert report["kept_round"] == kept
    assert report["model"]["digest"] == wanted
    assert world.models[0]["digest"] == wanted
    assert kept == 3 or world.models[0]["artifact"] == wanted  # else opened anew
    assert report["metrics"] == {"loss": losses[kept]}
    assert report.get("last_metrics") == (None if kept == 3 else {"loss": losses[3]})
    finished = [e["document"] for e in world.entries if e.get("kind") == "job.finished"]
    assert finished[0]["model"] == wanted
    assert finished[0]["kept_round"] == kept


@pytest.mark.parametrize(
    ("plan", "figures", "rounds", "kept"),
    [
        # of the models before rounds 1 to 4, and of the last one; the loss says the opposite
        ({"keep": "best", "metric": "auc"}, [0.5, 0.7, 0.9, 0.8, 0.6], 4, 2),
        ({"early_stop": {"patience": 1}, "metric": "auc"}, [0.5, 0.7, 0.6, 0.9], 3, None),
        (
            {"keep": "best", "early_stop": {"patience": 1}, "metric": "auc"},
            [0.5, 0.7, 0.6, 0.6], 3, 1,
        ),
        (
            {"early_stop": {"patience": 1, "min_delta": 0.3}, "metric": "auc"},
            [0.5, 0.7, 0.9], 2, None,
        ),
    ],
)  # fmt: skip
def test_rounds_are_compared_by_the_figure_that_the_plan_names(
    monkeypatch: pytest.MonkeyPatch,
    plan: dict[str, Any],
    figures: list[float],
    rounds: int,
    kept: int | None,
) -> None:
    make = world_module.make_spec

    def choosing(keys: Any, rounds: int, **more: Any) -> Any:
        return make(keys, rounds, plan={"rounds": 4, **plan}, **more)

    monkeypatch.setattr(world_module, "make_spec", choosing)
    told = iter(figures)

    def summed(_spec: Any, _sums: Any) -> dict[str, float]:
        auc = next(told)
        return {"loss": auc, "auc": auc}

    monkeypatch.setattr(federated, "summarise", summed)
    report = drive(World(), [])
    assert (report["rounds"], report["chosen_by"]) == (rounds, "auc")
    assert report["stopped_early"] is (rounds < 4)
    assert report.get("kept_round") == kept
    wanted = tensor_digest(np.full(8, kept or rounds, np.float32))
    assert report["model"]["digest"] == wanted
