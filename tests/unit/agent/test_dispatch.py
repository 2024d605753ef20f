"""An agent's part of a job, and what a crash after each commit leaves behind."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from peers.agent_world import JOB, ME, NOW, World

from secureflow.agent.owner.budgets import LEAF as BUDGET_LEAF
from secureflow.agent.witness.witness import MAX_UNPROVED_ROUNDS
from secureflow.engines.closing import Vote
from secureflow.engines.ledger.ends import End, read_finished
from secureflow.engines.ledger.leaves import commitment, leaf_from_json, verify
from secureflow.engines.ledger.notes import attach, parse_note
from secureflow.engines.sealing import (
    RecipientKey,
    encrypt_stream,
    model_key_info,
    parse_recipient,
    seal_key,
)
from secureflow.kit import crypto
from secureflow.kit.canonical import sha256
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent")


async def refused(world: World, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        await world.ask(verb, body)
    return error.value


def leaf_of(reply: dict[str, Any]) -> Any:
    signed = leaf_from_json(reply["leaf"])
    salt = bytes.fromhex(reply["salt"])
    assert commitment(salt, reply["document"]) == signed.leaf.commitment
    return signed


async def test_a_failure_of_a_jobs_code_is_in_the_agents_log_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.record(await world.ask("consent", world.consent_body()))
    world.record(await world.admit())
    error = SecureFlowError("bundle_silent", "The bundle did not answer.", "Wait.")

    async def compute(*_: Any, **__: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(world.worker, "compute", compute)
    for _ in range(2):
        assert (await refused(world, "train", world.train_body(1))).code == "bundle_silent"
    (found,) = [
        one for one in world.store.actions(job=JOB) if str(one["action"]).startswith("bundle")
    ]
    assert found["action"] == "bundle.failed"
    told = {"code": "bundle_silent", "verb": "train", "message": "The bundle did not answer."}
    assert found["facts"] == told
    error = SecureFlowError("party_silent", "bank-b is silent")
    await refused(world, "train", world.train_body(1))
    assert sum(one["action"] == "bundle.failed" for one in world.store.actions(job=JOB)) == 1


async def test_a_whole_job(world: World) -> None:
    key = world.keys[ME].public
    approval = await world.ask("consent", world.consent_body())
    body = approval["approval"]["body"]
    assert crypto.verify(key, "approval", body, approval["approval"]["signature"])
    assert (body["job"], body["spec"], body["party"]) == (JOB, world.digest, ME)
    assert (body["expires"], body["min_contributors"]) == (NOW + 86_400, 3)
    world.record(approval)

    admitted = await world.admit()
    assert admitted["verdict"]["simulated"] is True
    assert admitted["verdict"]["title"].startswith("SIMULATED SGX")
    world.record(admitted)

    leaves = [leaf_of(approval), leaf_of(admitted)]
    for number in (1, 2, 3):
        train = world.train_body(number)
        trained = await world.ask("train", train)
        note = parse_note(attach(train["head"], [trained["cosignature"]]))
        assert note.cosigners({ME: key}) == {ME}
        assert trained["rows"] == 40
        leaves.append(leaf_of(trained))
        close = world.close_body(train)
        vote = Vote.from_json((await world.ask("close", close))["vote"])
        assert vote.holds_under(key)
        assert vote.question.survivors == tuple(sorted(world.keys))
        world.record(trained)
    evaluation = world.train_body(4, "evaluate")
    evaluated = await world.ask("train", evaluation)
    leaves.append(leaf_of(evaluated))
    world.record(evaluated)

    model = evaluation["model"]
    finish = world.body(outcome="succeeded", model=model, head=world.head())
    finished = await world.ask("finish", finish)
    assert parse_note(attach(finish["head"], [finished["cosignature"]])).cosigners({ME: key})
    assert world.worker.closed == [JOB]
    assert world.worker.calls == ["prepare", "train", "train", "train", "evaluate"]
    assert not list((world.directory / "models").iterdir())

    assert all(verify(signed, key) for signed in leaves)
    for before, after in itertools.pairwise(leaves):
        assert after.leaf.prev == before.hash()
    ended = leaf_of(finished)
    assert (ended.leaf.kind, ended.leaf.prev) == ("finished", leaves[-1].hash())
    end = End(6, leaves[-1].hash())
    assert read_finished(finished["document"]) == ("succeeded", end, model["digest"])
    assert [leaf.hash for leaf in world.store.unproved()] == [ended.hash()]
    world.record(finished)
    closing = {"job": JOB, "head": world.head()}
    closed = await world.ask("cosign", closing)
    assert parse_note(attach(closing["head"], [closed["cosignature"]])).cosigners({ME: key})
    assert world.store.unproved() == []
    actions = [action["action"] for action in world.store.actions()]
    assert actions.count("update.made") == 4
    assert actions.count("vote.cast") == 3
    assert {"charter.pinned", "job.approved", "enclave.verified", "job.finished"} <= set(actions)


async def test_files_that_outlived_their_job_go_at_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates in clear among them, where the process was killed once the end was recorded."""
    await world.admitted()
    await world.round(1)
    world.reopen()  # a job that is not over goes on with them
    models = world.directory / "models"
    assert sorted(one.name for one in models.iterdir()) == [JOB, f"{JOB}.held"]
    assert all(list(one.iterdir()) for one in models.iterdir())

    async def killed(job: str) -> None:
        raise OSError(job)

    monkeypatch.setattr(world.assembly.agent, "_forget", killed)
    with pytest.raises(OSError, match=JOB):
        await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    assert list(models.iterdir())
    world.reopen()
    assert not list(models.iterdir())


async def test_the_update_leaf_commits_to_what_the_enclave_opened(world: World) -> None:
    await world.admitted()
    trained, _ = await world.round(1)
    opened = next(iter(world.enclave.opened.values()))
    record = world.store.rounds(JOB)[0]
    assert record.content == blake3(opened).hexdigest()
    assert trained["document"]["update"] == world.uplink.sent[0][1]
    # Salted: the digest alone does not lead to the commitment.
    assert trained["document"]["update"] != sha256(bytes.fromhex(record.content)).hex()


async def test_a_round_costs_two_commits(world: World) -> None:
    await world.admitted()
    await world.round(1)
    commits: list[str] = []
    world.store._db.set_trace_callback(commits.append)
    await world.round(2)
    assert commits.count("COMMIT") == 2


async def test_moments_come_first_where_the_spec_needs_them(tmp_path: Path) -> None:
    features = {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": "age", "bounds": [0, 100]}],
    }
    world = World(tmp_path / "agent", spec_changes={"features": features})
    await world.admitted()
    body = world.train_body(0, "moments")
    trained = await world.ask("train", body)
    await world.ask("close", world.close_body(body))
    world.record(trained)
    error = await refused(world, "train", world.train_body(1))
    assert error.code == "invalid_request"
    release = world.enclave.release(world, 0, "moments", world.initial)
    moments = {"sums": release["sums"], "release": release}
    forged = {**moments, "sums": [1.0 + one for one in release["sums"]]}
    assert (await refused(world, "train", world.train_body(1, moments=forged))).code == (
        "unreleased_model"
    )
    reply = await world.ask("train", world.train_body(1, moments=moments))
    assert reply["rows"] == 40


async def test_the_same_question_gets_the_same_answer(world: World) -> None:
    first = await world.ask("consent", world.consent_body())
    assert await world.ask("consent", world.consent_body()) == first
    challenge = await world.ask("challenge", world.body(generation=1))
    assert await world.ask("challenge", world.body(generation=1)) == challenge
    parse_recipient(challenge["recipient"])
    evidence = world.enclave.attest(challenge["nonce"], world.digest).as_json()
    body = world.body(generation=1, evidence=evidence, model=None)
    admitted = await world.ask("admit", body)
    assert await world.ask("admit", body) == admitted
    train = world.train_body()
    trained = await world.ask("train", train)
    again = await world.ask("train", train)
    assert again["leaf"] == trained["leaf"]
    assert again["receipt"] == trained["receipt"]
    close = world.close_body(train)
    assert await world.ask("close", close) == await world.ask("close", close)


async def test_a_crash_after_every_commit_changes_no_answer(tmp_path: Path) -> None:
    async def play(directory: Path, *, crash: bool) -> tuple[list[Any], World]:
        world = World(directory)
        answers: list[Any] = []

        async def step(verb: str, body: dict[str, Any]) -> dict[str, Any]:
            if not crash:
                return await world.ask(verb, body)
            before = await world.ask(verb, body)
            world.reopen()
            after = await world.ask(verb, body)
            same = ("approval", "nonce", "recipient", "verdict", "leaf", "document", "salt", "vote")
            assert {k: before.get(k) for k in same} == {k: after.get(k) for k in same}
            return after

        world.record(await step("consent", world.consent_body()))
        challenge = await step("challenge", world.body(generation=1))
        evidence = world.enclave.attest(challenge["nonce"], world.digest).as_json()
        world.record(await step("admit", world.body(generation=1, evidence=evidence, model=None)))
        for number in (1, 2):
            body = world.train_body(number)
            trained = await step("train", body)
            await step("close", world.close_body(body))
            world.record(trained)
            answers.append(trained["rows"])
        await step("finish", world.body(outcome="succeeded", model=None, head=world.head()))
        return answers, world

    steady, _ = await play(tmp_path / "steady", crash=False)
    crashed, world = await play(tmp_path / "crashed", crash=True)
    assert steady == crashed
    assert len(world.store.rounds(JOB)) == 2
    assert all(world.store.vote(JOB, number, "train") for number in (1, 2))
    # Sent again after the crash, not trained again: what the enclave opened twice was the same.
    assert world.worker.calls.count("train") == 2
    contents = {record.content for record in world.store.rounds(JOB)}
    assert len(contents) == 2


async def test_a_restarted_enclave_gets_the_same_update_under_its_new_key(world: World) -> None:
    await world.admitted()
    body = world.train_body()
    first = await world.ask("train", body)
    opened = dict(world.enclave.opened)
    world.enclave = world.new_enclave()
    error = await refused(world, "train", {**body, "generation": 2})
    assert error.code == "not_admitted"
    admitted = await world.admit(generation=2)
    # The update's leaf was not recorded yet: it comes along, before the new one.
    assert [b["leaf"]["leaf"]["kind"] for b in admitted["leaves"]][-2:] == ["update", "attested"]
    world.record(admitted)
    again = await world.ask("train", {**body, "generation": 2, "head": world.head()})
    assert again["leaf"] == first["leaf"]
    assert world.enclave.opened == opened
    assert world.worker.calls.count("train") == 1
    sealed = [update for update, _ in world.uplink.sent]
    assert sealed[0].header.encapsulated != sealed[1].header.encapsulated
    error = await refused(world, "train", body)
    assert error.code == "not_admitted"  # the old enclave is no more


async def test_a_lost_enclave_is_named_as_such(world: World) -> None:
    await world.admitted()
    world.uplink.lost = True
    assert (await refused(world, "train", world.train_body())).code == "enclave_lost"
    world.uplink.lost = False
    assert (await world.ask("train", world.train_body()))["receipt"]
    assert world.worker.calls.count("train") == 1


async def test_a_model_of_the_enclave_before_still_counts(world: World) -> None:
    await world.admitted()
    await world.round(1)
    model = world.released(1, 0.5)
    world.enclave = world.new_enclave()
    world.record(await world.admit(generation=2))
    body = world.train_body(2, generation=2, model=model)
    assert (await world.ask("train", body))["rows"] == 40


def long_world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", spec_changes={"plan": {"rounds": MAX_UNPROVED_ROUNDS + 4}})


async def test_a_missed_round_is_no_alarm_and_its_leaf_comes_again(world: World) -> None:
    await world.admitted()
    missed = await world.ask("train", world.train_body(1))
    world.record()  # the centre closed the round before this reply came
    body = world.train_body(2)
    trained = await world.ask("train", body)
    assert [bundle["leaf"] for bundle in trained["leaves"]] == [missed["leaf"], trained["leaf"]]
    await world.ask("close", world.close_body(body))
    world.record(trained)
    await world.round(3)
    assert len(world.store.unproved()) == 1  # only the newest


async def test_sealed_intermediate_models(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", spec_changes={"release": {"intermediate": "agents"}})
    await world.admitted()
    challenge = await world.ask("challenge", world.body(generation=9))
    await world.round(1)
    digest, data = world.model(0.5)
    content = b"\x05" * 32
    artifact = b"".join(encrypt_stream(content, memoryview(data)))
    address = blake3(artifact).hexdigest()
    del world.blobs[digest]
    world.blobs[address] = artifact
    info = model_key_info(job=JOB, round_number=1, stage="train", model=digest, party=ME)
    keys = {ME: seal_key(content, challenge["recipient"], info)}
    model = {
        "digest": digest,
        "artifact": address,
        "size": len(artifact),
        "release": world.enclave.release(world, 1, "train", digest),
        "keys": keys,
    }
    world.reopen()  # the recipient key derives from the job's secret: a restart loses nothing
    assert (await world.ask("train", world.train_body(2, model=model)))["rows"] == 40

    world.enclave = world.new_enclave()
    challenge = await world.ask("challenge", world.body(generation=2))
    evidence = world.enclave.attest(challenge["nonce"], world.digest).as_json()
    named = {name: model[name] for name in ("digest", "release", "keys")}
    admitted = await world.ask("admit", world.body(generation=2, evidence=evidence, model=named))
    handed = model_key_info(job=JOB, round_number=1, stage="train", model=digest, party="enclave")
    assert world.enclave.recipient.open_key(admitted["model_key"], handed) == content
    with pytest.raises(SecureFlowError):
        RecipientKey.generate().open_key(admitted["model_key"], handed)


@pytest.mark.parametrize("keep", [None, "best"])
@pytest.mark.parametrize("missed", [None, 2, "evaluation"])
async def test_a_party_witnesses_no_output_that_its_rounds_did_not_lead_to(
    tmp_path: Path, keep: str | None, missed: int | str | None
) -> None:
    """Of the last model as of the best, and of a party that was there all the time."""
    plan = {"rounds": 3, "validation": 0.2, **({} if keep is None else {"keep": keep})}
    world = World(tmp_path / "agent", spec_changes={"plan": plan})
    await world.admitted()
    for number in (1, 2, 3):
        if number != missed:
            await world.round(number)
    if missed != "evaluation":
        world.record(await world.ask("train", world.train_body(4, "evaluate")))
    every = [world.released(number, 0.5 * number) for number in (1, 2, 3)]
    strange = world.released(3, 9.0)  # the enclave's signature is there: of another start
    allowed = every if keep else every[2:]
    if missed == "evaluation" or (keep and missed):
        allowed = [*every, strange, None]
    ends = [world.body(outcome="succeeded", model=one, head=world.head())
            for one in (strange, None, *every)]  # fmt: skip
    refused_ones = [one for one in ends if one["model"] not in allowed]
    for one in refused_ones:
        error = await refused(world, "finish", one)
        assert error.code == "model_inconsistent"
        assert world.store.job(JOB).outcome == ""  # type: ignore[union-attr]
    assert len(refused_ones) == len(ends) - len(allowed)
    model = allowed[0]
    ended = await world.ask(
        "finish", world.body(outcome="succeeded", model=model, head=world.head())
    )
    assert ended["cosignature"]
    assert model is not None
    compared = missed != "evaluation" and not (keep and missed)
    named = model["digest"] if compared else ""
    assert read_finished(ended["document"])[2] == named  # type: ignore[index]


async def trained(world: World) -> None:
    await world.admitted()
    for number in (1, 2, 3):
        await world.round(number)
    world.record(await world.ask("train", world.train_body(4, "evaluate")))


async def test_after_a_refused_end_no_head_is_cosigned_for_the_job(world: World) -> None:
    """The one that was refused least of all; until the job ends with an output that can be."""
    await trained(world)
    assert (await world.ask("cosign", {"job": JOB, "head": world.head()}))["cosignature"]
    good, strange = world.released(3, 1.5), world.released(3, 9.0)
    bad = world.body(outcome="succeeded", model=strange, head=world.record())
    for _ in range(2):
        assert (await refused(world, "finish", bad)).code == "model_inconsistent"
    for head in (bad["head"], world.record()):
        error = await refused(world, "cosign", {"job": JOB, "head": head})
        assert error.code == "model_inconsistent"
        world.reopen()
    # Work for other jobs goes on: what a head says of the log, it says of the whole log.
    assert (await world.ask("cosign", {"job": "", "head": world.record()}))["cosignature"]
    ended = await world.ask(
        "finish", world.body(outcome="succeeded", model=good, head=world.record())
    )
    assert read_finished(ended["document"])[2] == good["digest"]  # type: ignore[index]
    assert (await world.ask("cosign", {"job": JOB, "head": world.record(ended)}))["cosignature"]


async def test_a_refused_success_can_fail(world: World) -> None:
    await trained(world)
    bad = world.body(outcome="succeeded", model=world.released(3, 9.0), head=world.head())
    assert (await refused(world, "finish", bad)).code == "model_inconsistent"
    failed = world.body(outcome="failed", model=None, head=world.record())
    ended = await world.ask("finish", failed)
    assert read_finished(ended["document"])[::2] == ("failed", "")  # type: ignore[index]
    assert (await world.ask("cosign", {"job": JOB, "head": world.record(ended)}))["cosignature"]


@pytest.mark.parametrize("first", ["failed", "succeeded"])
async def test_a_job_that_is_over_has_its_one_end_whatever_is_asked(
    world: World, first: str
) -> None:
    """A party that compares again could not give its end to a centre that lost the answer."""
    await trained(world)
    model = world.released(3, 1.5) if first == "succeeded" else None
    ended = await world.ask("finish", world.body(outcome=first, model=model, head=world.head()))
    for other in (None, world.released(3, 9.0)):
        body = world.body(outcome="succeeded", model=other, head=world.head())
        again = await world.ask("finish", body)
        assert leaf_of(again) == leaf_of(ended)
        assert again["document"] == ended["document"]
    assert (await world.ask("cosign", {"job": JOB, "head": world.record(ended)}))["cosignature"]


async def test_a_failure_has_no_output_to_be_compared(world: World) -> None:
    await world.admitted()
    await world.round(1)
    world.record(await world.ask("train", world.train_body(4, "evaluate")))
    body = world.body(outcome="failed", model=None, head=world.head())
    assert (await world.ask("finish", body))["cosignature"]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
async def test_who_never_approved_a_job_signs_that_it_took_no_part(
    tmp_path: Path, outcome: str
) -> None:
    world = World(tmp_path / "agent", policy="")
    world.record()
    body = world.body(outcome=outcome, model=None, head=world.head())
    ended = await world.ask("finish", body)
    leaf = leaf_of(ended).leaf
    assert (leaf.kind, leaf.job, leaf.spec) == ("finished", JOB, body["digest"])
    assert read_finished(ended["document"]) == (outcome, End(), "")
    assert world.store.job(JOB) is None
    assert (await world.ask("finish", body))["leaf"] == ended["leaf"]
    assert (await refused(world, "cosign", {"job": JOB, "head": world.record()})).code == (
        "end_left_out"
    )
    assert (await world.ask("cosign", {"job": JOB, "head": world.record(ended)}))["cosignature"]
    # It has ended: a centre that asks again would else have it sign after its end.
    assert (await refused(world, "consent", world.consent_body())).code == "job_finished"


async def test_of_a_success_nobody_signs_that_it_took_no_part(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    world.record()
    body = world.body(outcome="succeeded", model=None, head=world.head())
    ended = await world.ask("finish", body)
    assert ended["cosignature"]
    assert not ended.get("leaf")
    assert world.store.leaves(JOB) == []


async def test_a_finished_job_is_over(world: World) -> None:
    await world.admitted()
    await world.round(1)
    body = world.body(outcome="failed", model=None, head=world.head())
    first = await world.ask("finish", body)
    assert await world.ask("finish", body) == first
    assert (await refused(world, "train", world.train_body(2))).code == "job_finished"
    job = world.store.job(JOB)
    assert job is not None
    assert job.secret == b""


async def test_a_party_does_not_witness_an_end_that_leaves_it_out(world: World) -> None:
    """It is no alarm, since its answer may have come too late; and it signs no other end."""
    await world.admitted()
    await world.round(1)
    body = world.body(outcome="failed", model=None, head=world.head())
    ended = await world.ask("finish", body)
    without = world.record()
    error = await refused(world, "cosign", {"job": JOB, "head": without})
    assert error.code == "end_left_out"
    assert error.details["leaves"] == [leaf_of(ended).hash()]
    world.reopen()
    again = await world.ask("finish", {**body, "outcome": "succeeded", "head": world.head()})
    assert leaf_of(again) == leaf_of(ended)
    assert (await world.ask("cosign", {"job": JOB, "head": world.record(again)}))["cosignature"]


async def test_a_job_that_ends_before_its_leaves_were_heard_of_is_no_alarm(world: World) -> None:
    """Somebody cancels while an answer is on its way: the end offers everything once more."""
    await world.admitted()
    lost = [await world.ask("train", world.train_body(number)) for number in (1, 2)]
    body = world.body(outcome="cancelled", model=None, head=world.record())
    ended = await world.ask("finish", body)
    offered = [leaf["leaf"] for leaf in ended["leaves"]]
    assert all(reply["leaf"] in offered for reply in lost)
    assert world.store.fact("alarm") is None
    assert (await refused(world, "cosign", {"job": JOB, "head": world.record()})).code == (
        "end_left_out"
    )
    assert (await world.ask("cosign", {"job": JOB, "head": world.record(ended)}))["cosignature"]


async def test_what_no_answer_has_carried_is_not_missed(world: World) -> None:
    """A charge is set aside in a request whose answer has no leaf; the next answer may be lost."""
    await world.admitted()
    with world.store.transaction():
        charged = world.assembly.context.witness.leaf(BUDGET_LEAF, JOB, world.digest, {"n": 1})
    world.record()
    lost = await world.ask("train", world.train_body(1))
    world.record()
    await world.ask("train", world.train_body(2))
    assert world.store.leaf(charged.hash).missed == 1
    assert lost["leaf"]


async def test_answers_that_are_lost_in_a_row_are_no_alarm(tmp_path: Path) -> None:
    """Each is given up as the party is silent; the centre that hears the last one knows all."""
    world = long_world(tmp_path)
    await world.admitted()
    lost = []
    for number in range(1, MAX_UNPROVED_ROUNDS):
        lost.append(await world.ask("train", world.train_body(number)))
        world.record()
    heard, _ = await world.round(MAX_UNPROVED_ROUNDS)
    assert all(one["leaf"] in [leaf["leaf"] for leaf in heard["leaves"]] for one in lost)
    await world.round(MAX_UNPROVED_ROUNDS + 1)
    assert world.store.fact("alarm") is None
    assert len(world.store.unproved()) == 1  # only the newest


async def test_who_never_hears_of_a_leaf_hides_it(tmp_path: Path) -> None:
    """Nobody need ask this party for its vote, so a centre is not deaf for ever."""
    world = long_world(tmp_path)
    await world.admitted()
    for number in range(1, MAX_UNPROVED_ROUNDS + 2):
        await world.ask("train", world.train_body(number))
        world.record()
    error = await refused(world, "train", world.train_body(MAX_UNPROVED_ROUNDS + 2))
    assert error.code == "leaf_missing"


async def test_a_question_for_a_vote_does_not_tell_that_an_answer_was_heard(world: World) -> None:
    """The enclave has the update, and the centre asks who contributed."""
    await world.admitted()
    for number in (1, 2, 3):
        train = world.train_body(number)
        await world.ask("train", train)
        await world.ask("close", world.close_body(train))
        world.record()
    assert world.store.fact("alarm") is None


async def test_a_leaf_is_missed_once_a_later_one_is_in_the_log(tmp_path: Path) -> None:
    """An answer carries all of them: the centre chose one."""
    world = long_world(tmp_path)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    world.record()
    later = await world.ask("train", world.train_body(2))
    world.record({"leaves": [{"leaf": later["leaf"]}]})
    await world.ask("train", world.train_body(3))
    world.record()
    assert (await refused(world, "train", world.train_body(4))).code == "leaf_missing"


async def test_nothing_is_signed_in_a_job_after_its_end(world: World) -> None:
    """What is refused then leaves its evidence beside the record, and no leaf."""
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    ended = await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    error = await refused(world, "train", {**train, "digest": "ab" * 32})
    assert (error.code, "accusation" in error.details) == ("spec_digest_mismatch", False)
    assert world.store.last_leaf(JOB) == leaf_of(ended).hash()
    assert len(list(world.assembly.context.settings.evidence.iterdir())) == 1
    assert "accused" in [action["action"] for action in world.store.actions()]


async def test_unknown_verbs_and_bodies_are_refused(world: World) -> None:
    assert (await refused(world, "open", {})).code == "unknown_verb"
    for verb in ("consent", "challenge", "admit", "train", "close", "cosign", "finish"):
        for body in ({}, {"job": "../../etc"}, {"job": JOB, "digest": world.digest, "more": 1}):
            assert (await refused(world, verb, body)).code == "invalid_request"


async def test_an_agent_whose_record_is_gone_from_its_place_answers_nothing(world: World) -> None:
    """Not even with what it has answered before: nothing that it says would be kept."""
    await world.admitted()
    before = world.store.reached()
    record = world.directory / "agent.db"
    record.rename(record.with_name("away.db"))
    for verb, body in (
        ("cosign", {"job": "", "head": world.head()}),
        ("consent", world.consent_body()),  # its answer is on record: nothing is written for it
    ):
        assert (await refused(world, verb, body)).code == "record_replaced"
    assert world.store.reached() == before
    record.with_name("away.db").rename(record)
    assert (await world.ask("cosign", {"job": "", "head": world.head()}))["cosignature"]
