"""A malicious centre against one real agent: each attempt ends in its own refusal.

Every test would fail if the guard that it names were removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ALLOW, JOB, ME, NOW, ORIGIN, World

from secureflow.adapters.tee import SimulatedPlatform
from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.witness import witness
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.ledger.witness import fraud_proof
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent")


async def refused(world: World, verb: str, body: dict[str, Any], log_proofs: Any = ...) -> Any:
    log_proofs = world.log_proofs(body) if log_proofs is ... else log_proofs
    with pytest.raises(SecureFlowError) as error:
        await world.assembly.agent.handle(verb, body, log_proofs)
    return error.value


def lose_updates(world: World) -> None:
    """Lose what the agent holds of its updates, as a power cut may."""
    shutil.rmtree(held_folder(world.settings.models, JOB))


def asked(world: World, **changes: Any) -> dict[str, Any]:
    spec = world.make_spec(**changes)
    return world.consent_body(spec=dump(spec), digest=spec_digest(spec))


# Consent: what cannot be asked.


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"protection": "secagg"}, "protection_refused"),
        ({"min_contributors": 1}, "invalid_spec"),
    ],
)
async def test_protection_and_group_size_are_the_owners(
    world: World, changes: dict[str, Any], code: str
) -> None:
    body = world.consent_body()
    body["spec"] = {**body["spec"], **changes}
    if code == "protection_refused":
        body = asked(world, **changes)
    assert (await refused(world, "consent", body)).code == code
    assert world.store.job(JOB) is None


async def test_a_minted_party_is_refused(world: World) -> None:
    minted = {"party": "bank-z", "key": SigningKey.generate().public, "dataset": "customers"}
    roster = dump(world.spec)["roster"]
    error = await refused(world, "consent", asked(world, roster=[*roster, minted]))
    assert (error.code, error.details["party"]) == ("charter_mismatch", "bank-z")


async def test_a_substituted_roster_key_is_refused(world: World) -> None:
    roster = dump(world.spec)["roster"]
    for party in (ME, "bank-b"):
        other = [
            {**line, "key": SigningKey.generate().public} if line["party"] == party else line
            for line in roster
        ]
        error = await refused(world, "consent", asked(world, roster=other))
        assert (error.code, error.details["party"]) == ("charter_mismatch", party)


async def test_a_sum_of_two_of_three_is_refused(world: World) -> None:
    error = await refused(world, "consent", asked(world, min_contributors=2))
    assert (error.code, error.details["field"]) == ("contradictory_spec", "min_contributors")


async def test_one_party_alone_is_refused(world: World) -> None:
    roster = dump(world.spec)["roster"][:1]
    error = await refused(world, "consent", asked(world, roster=roster, min_contributors=2))
    assert (error.code, error.details["field"]) == ("contradictory_spec", "roster")


@pytest.mark.parametrize(
    ("dataset", "partner", "taken"),
    [
        ("customers", "bank-b", True),
        ("others", "bank-b", False),
        ("customers", "bank-c", False),
        ("", "", False),
    ],
)
async def test_a_sum_of_two_takes_this_owners_word_for_dataset_and_partner(
    tmp_path: Path, dataset: str, partner: str, taken: bool
) -> None:
    """The other one computes this party's contribution from it: no policy may allow that."""
    world = World(tmp_path / "agent", partners={dataset: partner} if partner else {})
    roster = dump(world.spec)["roster"][:2]
    body = asked(world, roster=roster, min_contributors=2)
    if taken:
        assert (await world.ask("consent", body))["approval"]["body"]["min_contributors"] == 2
        return
    error = await refused(world, "consent", body)
    assert error.code == "too_few_parties"
    assert "each of the two could compute what the other one contributed" in error.message
    assert world.store.job(JOB) is None


async def test_a_spec_of_another_digest_is_refused(world: World) -> None:
    body = world.consent_body()
    body["spec"] = {**body["spec"], "purpose": "marketing"}
    assert (await refused(world, "consent", body)).code == "spec_digest_mismatch"


async def test_an_approved_job_cannot_change_its_spec(world: World) -> None:
    await world.ask("consent", world.consent_body())
    error = await refused(world, "consent", asked(world, purpose="marketing"))
    assert error.code == "spec_digest_mismatch"


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({"numeric": [{"column": "salary", "bounds": [0, 1]}]}, "column_not_granted"),
        ({"numeric": [{"column": "job", "bounds": [0, 1]}]}, "column_not_granted"),
        ({"categorical": [{"column": "age", "categories": ["x"]}]}, "column_not_granted"),
        ({"categorical": [{"column": "job", "categories": ["x"]}]}, "unknown_category"),
        (
            {
                "numeric": [{"column": "age", "bounds": [0, 1]}],
                "label": {"column": "income", "positive": "medium"},
            },
            "unknown_category",
        ),
    ],
)
async def test_only_declared_columns_and_categories(
    world: World, features: dict[str, Any], code: str
) -> None:
    label = {"label": {"column": "income", "positive": "high"}}
    error = await refused(world, "consent", asked(world, features={**label, **features}))
    assert error.code == code


async def test_an_unknown_dataset_is_refused(world: World) -> None:
    roster = [{**line, "dataset": "other"} for line in dump(world.spec)["roster"]]
    assert (await refused(world, "consent", asked(world, roster=roster))).code == "dataset_unknown"


async def test_without_a_pinned_charter_nobody_is_known(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    with world.store.transaction():
        world.store.set_fact("charter", None)
    world.reopen()
    assert (await refused(world, "consent", world.consent_body())).code == "charter_not_pinned"


async def test_a_forbid_refuses_with_its_reason(tmp_path: Path) -> None:
    policy = ALLOW + '@id("no-sensitive") @reason("not even once") forbid(principal, action, '
    policy += "resource) when { !context.sensitive.isEmpty() };"
    world = World(tmp_path / "agent", policy=policy)
    error = await refused(world, "consent", world.consent_body())
    assert error.code == "consent_refused"
    assert "no-sensitive: not even once" in error.message
    assert world.store.actions()[0]["action"] == "job.refused"


async def test_an_approval_dies(world: World) -> None:
    late = world.consent_body(expires=NOW)
    assert (await refused(world, "consent", late)).code == "approval_expired"
    await world.admitted()
    world.now += 86_400
    assert (await refused(world, "train", world.train_body())).code == "approval_expired"


async def test_an_approval_lives_no_longer_than_the_owner_says(world: World) -> None:
    reply = await world.ask("consent", world.consent_body(expires=NOW + 10**9))
    assert reply["approval"]["body"]["expires"] == NOW + 30 * 86_400


# Forged and replayed approvals.


@pytest.mark.parametrize("verb", ["challenge", "admit", "train", "close", "finish"])
async def test_no_verb_works_with_another_digest_than_the_approved(world: World, verb: str) -> None:
    await world.admitted()
    train = world.train_body()
    bodies = {
        "challenge": world.body(generation=2),
        "admit": world.body(generation=2, evidence={}),
        "train": train,
        "close": world.close_body(train),
        "finish": world.body(outcome="succeeded", head=world.head()),
    }
    changed = {**bodies[verb], "digest": "0" * 64}
    assert (await refused(world, verb, changed)).code == "spec_digest_mismatch"
    if verb != "finish":
        other = {**bodies[verb], "job": "job_9999999999"}
        assert (await refused(world, verb, other)).code == "not_approved"


# Models and rounds.


async def test_a_model_that_the_enclave_did_not_sign(world: World) -> None:
    await world.admitted()
    await world.round(1)
    honest = world.released(1, 0.5)
    foreign, _ = world.model(9.0)
    rogue = world.new_enclave()
    attempts = {
        "unsigned": {**honest, "release": None},
        "another model": {**honest, "digest": foreign, "artifact": foreign},
        "a rogue enclave": {**honest, "release": rogue.release(world, 1, "train", foreign)},
        "an edited release": {**honest, "release": {**honest["release"], "model": foreign}},
        "edited sums": {**honest, "release": {**honest["release"], "sums": [1.0, 2.0]}},
    }
    for name, model in attempts.items():
        error = await refused(world, "train", world.train_body(2, model=model))
        assert error.code == "unreleased_model", name
    assert len(world.store.rounds(JOB)) == 1
    assert (await world.ask("train", world.train_body(2, model=honest)))["rows"] == 40


async def test_a_model_whose_bytes_are_others(world: World) -> None:
    await world.admitted()
    await world.round(1)
    honest = world.released(1, 0.5)
    foreign, data = world.model(9.0)
    named = {**honest, "artifact": foreign}
    assert (await refused(world, "train", world.train_body(2, model=named))).code == (
        "unreleased_model"
    )
    body = world.train_body(2, model=honest)
    world.blobs[honest["digest"]] = data[:-4]  # the link compares digests; lengths are ours
    assert (await refused(world, "train", body)).code == "unreleased_model"


async def test_the_initial_model_only_opens_the_first_round(world: World) -> None:
    await world.admitted()
    await world.round(1)
    error = await refused(world, "train", world.train_body(2, model=None))
    assert error.code == "unreleased_model"


async def test_a_first_round_from_a_crafted_model(world: World) -> None:
    await world.admitted()
    crafted, data = world.model(7.0)
    model = {"digest": crafted, "artifact": crafted, "size": len(data), "release": None}
    error = await refused(world, "train", world.train_body(1, model=model))
    assert error.code == "unreleased_model"


async def test_a_stale_round_is_not_trained_again(world: World) -> None:
    await world.admitted()
    first = world.train_body(1)
    await world.round(1)
    await world.round(2)
    sent = len(world.uplink.sent)
    # Replayed as it was, and under a new head.
    for body in (first, {**first, "head": world.head()}):
        assert (await refused(world, "train", body)).code == "stale_round"
    assert len(world.uplink.sent) == sent


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("statistics", "stale_round"),
        ("of-no-kind", "stale_round"),
        ("", "invalid_request"),
        ("train\n", "invalid_request"),
        ("s" * 33, "invalid_request"),
    ],
)
async def test_a_stage_that_the_approved_kind_does_not_have_is_refused(
    world: World, stage: str, code: str
) -> None:
    """Messages bound a stage's name; which there are, the job's kind says."""
    await world.admitted()
    body = world.train_body(1)
    assert (await refused(world, "train", {**body, "stage": stage})).code == code
    assert world.uplink.sent == []


async def test_the_model_of_a_round_before_the_last_is_stale(world: World) -> None:
    await world.admitted()
    await world.round(1)
    await world.round(2)
    old = world.released(1, 0.5)
    assert (await refused(world, "train", world.train_body(3, model=old))).code == "stale_round"


async def test_one_round_has_one_model(world: World) -> None:
    await world.admitted()
    await world.round(1)
    await world.ask("train", world.train_body(2))
    error = await refused(world, "train", world.train_body(2, model=world.released(1, 0.7)))
    assert error.code == "update_already_sealed"


async def test_one_model_has_one_update(world: World) -> None:
    """The enclave may release the same model twice; the update from it must not differ."""
    await world.admitted()
    await world.round(1)
    await world.ask("train", world.train_body(2))
    same = world.released(1, 0.5)["digest"]
    again = {**world.released(1, 0.5), "release": world.enclave.release(world, 2, "train", same)}
    world.worker.noise = 1.0  # say, the data changed meanwhile
    world.record()
    lose_updates(world)
    error = await refused(world, "train", world.train_body(3, model=again))
    assert error.code == "update_already_sealed"
    world.worker.noise = 0.0
    assert (await world.ask("train", world.train_body(3, model=again)))["rows"] == 40


async def test_an_update_that_cannot_be_repeated_is_not_sent(world: World) -> None:
    await world.admitted()
    body = world.train_body()
    await world.ask("train", body)
    lose_updates(world)  # in a power cut, say
    world.reopen()
    world.worker.noise = 1.0
    error = await refused(world, "train", body)
    assert error.code == "update_already_sealed"
    assert "accusation" not in error.details
    assert len(world.uplink.sent) == 1


# Evidence.


async def challenged(world: World, generation: int = 1) -> str:
    await world.ask("consent", world.consent_body())
    return str((await world.ask("challenge", world.body(generation=generation)))["nonce"])


def admit_body(world: World, evidence: Any, generation: int = 1) -> dict[str, Any]:
    return world.body(generation=generation, evidence=evidence.as_json(), model=None)


async def test_evidence_is_refused_with_its_stage(world: World) -> None:
    nonce = await challenged(world)
    unknown = SimulatedPlatform.generate(NOW)
    genuine = world.enclave.attest(nonce, world.digest)

    def other_key() -> Any:
        rogue = world.new_enclave()
        runtime = {**genuine.runtime_data, "hpke": rogue.recipient.public}
        return type(genuine)(**{**vars(genuine), "runtime_data": runtime})

    def foreign_root() -> Any:
        world.platform = unknown
        return world.new_enclave().attest(nonce, world.digest)

    attempts: list[tuple[str, Callable[[], Any], str, str]] = [
        ("another nonce", lambda: world.enclave.attest("00" * 32, world.digest), "fresh", "nonce"),
        ("another job", lambda: world.enclave.attest(nonce, world.digest, "job_x"), "fresh", "job"),
        ("another spec", lambda: world.enclave.attest(nonce, "0" * 64), "fresh", "spec"),
        ("another key", other_key, "fresh", "report_data"),
        (
            "a debug enclave",
            lambda: world.new_enclave(debug=True).attest(nonce, world.digest),
            "acceptable",
            "debug",
        ),
        (
            "another code",
            lambda: world.new_enclave(measurement="cd" * 32).attest(nonce, world.digest),
            "acceptable",
            "measurement",
        ),
        ("an unknown root", foreign_root, "authentic", "root"),
    ]
    for name, make, stage, part in attempts:
        error = await refused(world, "admit", admit_body(world, make()))
        assert error.code.startswith("evidence_"), name
        assert (error.details["stage"], error.details["leg"]) == (stage, part), name
    assert world.store.admissions(JOB) == []
    assert (await refused(world, "train", world.train_body())).code == "not_admitted"
    assert world.uplink.sent == []
    assert (await world.ask("admit", admit_body(world, genuine)))["verdict"]["simulated"]


async def test_replayed_evidence(world: World) -> None:
    nonce = await challenged(world)
    old = world.enclave.attest(nonce, world.digest)
    await world.ask("admit", admit_body(world, old))
    for generation in (2, 3):  # never asked for; asked for with a nonce of its own
        error = await refused(world, "admit", admit_body(world, old, generation))
        assert (error.code, error.details["leg"]) == ("evidence_not_fresh", "nonce")
        await world.ask("challenge", world.body(generation=3))
    # A second evidence for a nonce that was used.
    again = world.enclave.attest(nonce, world.digest)
    assert (await refused(world, "admit", admit_body(world, again))).code == "evidence_not_fresh"


async def test_stale_evidence(world: World) -> None:
    nonce = await challenged(world)
    evidence = world.enclave.attest(nonce, world.digest)
    world.now += 601
    error = await refused(world, "admit", admit_body(world, evidence))
    assert (error.code, error.details["leg"]) == ("evidence_not_fresh", "age")
    fresh = await world.ask("challenge", world.body(generation=1))
    assert fresh["nonce"] != nonce


async def test_a_simulated_enclave_needs_the_owners_word(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", allow_simulated=False)
    nonce = await challenged(world)
    error = await refused(
        world, "admit", admit_body(world, world.enclave.attest(nonce, world.digest))
    )
    assert (error.code, error.details["leg"]) == ("evidence_not_acceptable", "simulated")


async def test_a_verdict_expires(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    await world.ask("consent", world.consent_body(expires=NOW + 10 * 86_400))
    await world.admit()
    world.now += 86_400
    assert (await refused(world, "train", world.train_body())).code == "attestation_expired"


# Votes.


async def test_one_vote_per_round(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", parties=(ME, "bank-b", "bank-c", "bank-d"))
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    await world.ask("close", world.close_body(train))
    world.reopen()
    other = {"survivors": [ME, "bank-b", "bank-c"], "dead": ["bank-d"]}
    error = await refused(world, "close", world.close_body(train, **other))
    assert error.code == "vote_already_cast"
    assert world.store.vote(JOB, 1, "train")["body"]["dead"] == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"survivors": ["bank-b", "bank-c", "bank-d"], "dead": [ME]}, "voted_dead"),
        ({"survivors": [ME, "bank-b"], "dead": ["bank-c", "bank-d"]}, "survivors_too_few"),
        ({"survivors": [ME, "bank-b", "bank-c"], "dead": []}, "dead_inconsistent"),
        (
            {"survivors": [ME, "bank-b", "bank-c", "bank-d", "bank-z"], "dead": []},
            "survivors_unknown",
        ),
        ({"context": "0" * 64}, "vote_other_context"),
        ({"round": 2}, "not_contributed"),
    ],
)
async def test_votes_that_are_never_cast(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    world = World(tmp_path / "agent", parties=(ME, "bank-b", "bank-c", "bank-d"))
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    assert (await refused(world, "close", world.close_body(train, **changes))).code == code
    assert world.store.vote(JOB, 1, "train") is None


async def test_a_head_without_quorum_closes_nothing(world: World) -> None:
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    few = world.cosigned(train["head"], by=[ME, "bank-b"])
    error = await refused(world, "close", world.close_body(train, cosigned=few))
    assert (error.code, error.details["needed"]) == ("head_not_cosigned", 3)


async def test_the_first_round_needs_the_charters_quorum(tmp_path: Path) -> None:
    """⌊2M/3⌋+1 of five members; the roster's three alone could be one partition's."""
    world = World(tmp_path / "agent", members=("bank-x", "bank-y"))
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    roster = world.cosigned(train["head"], by=list(world.keys))
    error = await refused(world, "close", world.close_body(train, cosigned=roster))
    assert (error.code, error.details["needed"]) == ("head_not_cosigned", 4)
    await world.ask("close", world.close_body(train))
    world.record()
    second = world.train_body(2)
    trained = await world.ask("train", second)
    assert trained["cosignature"]
    roster = world.cosigned(second["head"], by=list(world.keys))
    assert (await world.ask("close", world.close_body(second, cosigned=roster)))["vote"]


async def test_old_cosignatures_close_no_new_round(world: World) -> None:
    await world.admitted()
    old = world.cosigned(world.head())
    await world.round(1)
    train = world.train_body(2)
    await world.ask("train", train)
    error = await refused(world, "close", world.close_body(train, cosigned=old))
    assert error.code == "ledger_rollback"


# The ledger.


def forked(world: World, size: int) -> str:
    fork = MemoryTree()
    fork.append(*(bytes([n]) for n in range(size)))
    return sign_checkpoint(Checkpoint(ORIGIN, size, fork.root()), world.log_key)


def kept(error: SecureFlowError) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(error.details["evidence"]).read_text())
    return record


async def test_two_heads_of_one_size_are_kept_as_proof(world: World) -> None:
    await world.admitted()
    await world.ask("train", world.train_body())
    body = {"job": JOB, "head": forked(world, world.tree.size)}
    error = await refused(world, "cosign", body, None)
    assert error.code == "ledger_inconsistent"
    record = kept(error)
    assert record["fraud_proof"] is True
    known, shown = record["details"]["known"], record["details"]["shown"]
    assert fraud_proof(known, shown, world.log_key.public)
    # It stops for good, also after a restart, until the owner says otherwise.
    world.reopen()
    for verb, later in (("cosign", {"head": world.head()}), ("train", world.train_body())):
        assert (await refused(world, verb, later)).code == "ledger_inconsistent"


async def test_a_longer_fork_does_not_extend_what_was_seen(world: World) -> None:
    await world.admitted()
    await world.ask("train", world.train_body())
    size = world.tree.size
    body = {"head": forked(world, size + 3)}
    lie = {"consistency": {"from": size, "to": size + 3, "proof": ["00" * 32]}, "inclusion": []}
    assert (await refused(world, "cosign", body, lie)).code == "ledger_inconsistent"
    assert world.store.fact("alarm")["code"] == "ledger_inconsistent"


async def test_a_shorter_log_without_proof_is_a_rollback(world: World) -> None:
    await world.admitted()
    old = world.head(1)
    await world.ask("train", world.train_body())
    lie = {"consistency": {"from": 1, "to": world.tree.size, "proof": []}, "inclusion": []}
    assert (await refused(world, "cosign", {"head": old}, lie)).code == "ledger_rollback"


async def test_a_head_of_another_log_or_key(world: World) -> None:
    await world.admitted()
    tree = world.tree
    wrong_key = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), SigningKey.generate())
    other_log = sign_checkpoint(Checkpoint("other", tree.size, tree.root()), world.log_key)
    for head, code in ((wrong_key, "ledger_bad_signature"), (other_log, "ledger_wrong_log")):
        body = world.train_body(head=head)
        assert (await refused(world, "train", body)).code == code
    assert world.uplink.sent == []


async def test_own_leaves_that_all_stay_out_are_an_alarm_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is in the log: lost answers look alike, so one more round is needed."""
    monkeypatch.setattr(witness, "MAX_UNPROVED_ROUNDS", 1)
    await world.admitted()
    hidden = await world.ask("train", world.train_body(1))
    world.record()
    await world.ask("train", world.train_body(2))
    world.record()
    error = await refused(world, "train", world.train_body(3))
    assert error.code == "leaf_missing"
    assert error.details["leaves"][0] == world.store.rounds(JOB)[0].leaf
    assert hidden["leaf"]
    assert (await refused(world, "finish", world.body(outcome="x", head=world.head()))).code == (
        "leaf_missing"
    )


async def test_a_false_inclusion_proof_proves_nothing(world: World) -> None:
    await world.admitted()
    body = world.train_body(1)
    log_proofs = world.log_proofs(body)
    assert log_proofs is not None
    for claim in log_proofs["inclusion"]:
        claim["proof"] = ["00" * 32 for _ in claim["proof"]]
    await world.assembly.agent.handle("train", body, log_proofs)
    kinds = [leaf.kind for leaf in world.store.unproved(JOB)]
    assert kinds == ["approval", "attested", "update"]


async def test_proofs_that_overtook_each_other_are_asked_for(world: World) -> None:
    """Two requests whose proofs start at the same head; the second one's is no longer enough."""
    await world.admitted()
    await world.ask("cosign", {"head": world.head()})
    first = {"head": world.record()}
    proofs_1 = world.log_proofs(first)
    second = {"head": world.record()}
    proofs_2 = world.log_proofs(second)
    world.record()
    await world.assembly.agent.handle("cosign", first, proofs_1)
    await world.assembly.agent.handle("cosign", second, proofs_2)
    assert [kind for kind, _ in world.calls] == ["audit.head", "audit.head"]
    assert world.assembly.context.witness.log_size == world.tree.size
    assert world.store.fact("alarm") is None
