"""What an agent refuses because somebody cheats, it signs: who is accused, and who never is.

The same over real links, for masked jobs: `operator/test_masks.py`; for sealed ones and for
budgets: `operator/test_the_seal.py`, `test_operator_budget.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, World

from secureflow.adapters.link.messages import parse_error
from secureflow.agent.compute.jobfiles import UPDATE, held_folder
from secureflow.agent.verbs.accusations import ACCUSING, accuse, culprits
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.engines.ledger.leaves import commitment, leaf_from_json, verify
from secureflow.engines.peers.statements import contradiction
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError

FOUR = (ME, "bank-b", "bank-c", "bank-d")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", parties=FOUR)


async def refused(world: World, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        await world.ask(verb, body)
    return error.value


def accusation(world: World, error: SecureFlowError, verb: str, body: Any) -> dict[str, Any]:
    """Return the document of the accusation that came with a refusal, after checking all of it."""
    offered = error.details["accusation"]
    signed, document = leaf_from_json(offered["leaf"]), offered["document"]
    assert verify(signed, world.keys[ME].public)
    assert (signed.leaf.kind, signed.leaf.job, signed.leaf.spec) == (
        "accusation",
        JOB,
        world.store.job(JOB).digest,  # type: ignore[union-attr]
    )
    assert commitment(bytes.fromhex(offered["salt"]), document) == signed.leaf.commitment
    assert (document["refused"], document["code"]) == (verb, error.code)
    kept = world.settings.evidence / f"accusation-{document['evidence']}.json"
    assert sha256(kept.read_bytes()).hex() == document["evidence"]
    assert json.loads(kept.read_bytes()) == json.loads(canonical_bytes(body))
    return dict(document)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"survivors": ["bank-b", "bank-c", "bank-d"], "dead": [ME]}, "voted_dead"),
        ({"survivors": [ME, "bank-b"], "dead": ["bank-c", "bank-d"]}, "survivors_too_few"),
        ({"survivors": [ME, "bank-b", "bank-c"], "dead": []}, "dead_inconsistent"),
        ({"survivors": [*FOUR, "bank-z"], "dead": []}, "survivors_unknown"),
        ({"context": "0" * 64}, "vote_other_context"),
    ],
)
async def test_a_false_closing_question(world: World, changes: dict[str, Any], code: str) -> None:
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    body = world.close_body(train, **changes)
    error = await refused(world, "close", body)
    assert error.code == code
    assert accusation(world, error, "close", body)["against"] == ["server"]


async def test_two_dead_lists_for_a_sealed_round(world: World) -> None:
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    await world.ask("close", world.close_body(train))
    body = world.close_body(train, survivors=[ME, "bank-b", "bank-c"], dead=["bank-d"])
    error = await refused(world, "close", body)
    assert error.code == "vote_already_cast"
    assert accusation(world, error, "close", body)["against"] == ["server"]
    leaf = error.details["accusation"]["leaf"]
    world.reopen()  # however often it is provoked: one leaf
    again = await refused(world, "close", body)
    assert again.details["accusation"]["leaf"] == leaf
    kinds = [one["leaf"]["leaf"]["kind"] for one in again.details["accusation"]["leaves"]]
    assert kinds[-1] == "accusation"


async def test_models_and_rounds(world: World) -> None:
    await world.admitted()
    await world.round(1)
    first = world.train_body(1)
    foreign, _ = world.model(9.0)
    swapped = {**world.released(1, 0.5), "digest": foreign, "artifact": foreign}
    body = world.train_body(2, model=swapped)
    error = await refused(world, "train", body)
    assert accusation(world, error, "train", body)["code"] == "unreleased_model"
    await world.round(2)
    error = await refused(world, "train", first)
    assert accusation(world, error, "train", first)["code"] == "stale_round"
    two = world.train_body(2, model=world.released(1, 0.7))
    error = await refused(world, "train", two)
    assert accusation(world, error, "train", two)["code"] == "update_already_sealed"


@pytest.mark.parametrize("verb", ["consent", "admit", "train", "close"])
async def test_a_job_id_is_used_for_one_spec_only(world: World, verb: str) -> None:
    """Also the way to charge a reservation twice or for less: the job's id is the reservation's."""
    await world.admitted()
    train = world.train_body()
    cheaper = world.make_spec(plan={"rounds": 1})
    bodies = {
        "consent": world.consent_body(spec=dump(cheaper)),
        "admit": world.body(generation=2, evidence={}),
        "train": train,
        "close": world.close_body(train),
    }
    body = {**bodies[verb], "digest": spec_digest(cheaper)}
    error = await refused(world, verb, body)
    assert error.code == "spec_digest_mismatch"
    assert accusation(world, error, verb, body)["against"] == ["server"]


async def test_a_generation_that_was_missed_accuses_nobody(world: World) -> None:
    """Generation 2 came and went while this agent was away: it cannot tell who signed the model."""
    await world.admitted()
    await world.round(1)
    world.enclave = world.new_enclave()
    released = world.released(1, 0.5)  # by the enclave that it never saw
    world.enclave = world.new_enclave()
    world.record(await world.admit(3))
    error = await refused(world, "train", world.train_body(2, generation=3, model=released))
    assert error.code == "unreleased_model"
    assert "accusation" not in error.details
    rogue = world.new_enclave()
    world.record(await world.admit(2))  # now it knows all three: this one nobody admitted
    world.record(await world.admit(4))
    shown = {**released, "release": rogue.release(world, 1, "train", released["digest"])}
    body = world.train_body(2, generation=4, model=shown)
    error = await refused(world, "train", body)
    assert accusation(world, error, "train", body)["code"] == "unreleased_model"


async def test_an_own_update_that_came_out_otherwise_accuses_nobody(world: World) -> None:
    await world.admitted()
    body = world.train_body()
    await world.ask("train", body)
    world.reopen()
    (held_folder(world.settings.models, JOB) / UPDATE).unlink()  # a power cut took it
    world.worker.noise = 1.0
    error = await refused(world, "train", body)
    assert error.code == "update_already_sealed"
    assert "accusation" not in error.details
    assert world.store.leaves_of("accusation") == []


async def test_an_end_that_comes_during_a_refusal_is_the_last_leaf_all_the_same(
    world: World,
) -> None:
    """`consent` is refused outside of the lock: a leaf after the end would convict its party."""
    await world.admitted()
    before = world.store.job(JOB)
    assert before is not None
    await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    error = SecureFlowError("spec_digest_mismatch", "Another spec.")
    accuse(world.assembly.context, before, "consent", world.consent_body(), error)
    assert [one.kind for one in world.store.leaves(JOB)][-1] == "finished"
    assert world.store.leaves_of("accusation") == []
    assert "accusation" not in error.details


async def test_what_an_honest_course_meets_accuses_nobody(world: World) -> None:
    """The enclave was restarted, the head lacks cosignatures, the job is over, …"""
    await world.admitted()
    train = world.train_body()
    early = await refused(world, "close", world.close_body(train))
    assert early.code == "not_contributed"
    other = await refused(world, "train", {**train, "generation": 2})
    assert other.code == "not_admitted"
    await world.ask("train", train)
    few = world.close_body(train, cosigned=world.cosigned(train["head"], by=[ME]))
    assert (await refused(world, "close", few)).code == "head_not_cosigned"
    await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    assert (await refused(world, "train", train)).code == "job_finished"
    assert world.store.leaves_of("accusation") == []


@pytest.mark.parametrize(
    ("code", "details"),
    [
        ("weak_key", {"signer": "bank-b"}),
        ("budget_rolled_back", {}),
        ("peer_statements_contradict", {"signer": "bank-b", "statements": ["x"]}),
        ("unreleased_model", {}),
    ],
)
async def test_what_others_answer_accuses_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, code: str, details: dict[str, Any]
) -> None:
    """Who takes an upload chooses its refusal: no signature of this party may follow from it."""
    await world.admitted()

    async def refuses(*_: Any) -> dict[str, Any]:
        raise parse_error({"code": code, "message": "no", "details": details})

    monkeypatch.setattr(world.uplink, "send", refuses)
    error = await refused(world, "train", world.train_body())
    assert error.code == code
    assert "accusation" not in error.details
    assert world.store.leaves_of("accusation") == []
    assert culprits(error.retold("in other words"), ME) == ()


@pytest.mark.parametrize(
    ("code", "details", "against"),
    [
        ("active_and_dead", {"party": ME}, ("server",)),
        ("share_unopenable", {"party": "bank-b", "signer": "bank-b"}, ("server", "bank-b")),
        ("setup_changed", {"party": ME, "signer": "bank-b"}, ("bank-b",)),
        ("weak_key", {"party": "bank-b", "signer": "bank-b"}, ("bank-b",)),
        ("budget_rolled_back", {}, (ME,)),
        ("update_already_sealed", {"innocent": True}, ()),
        ("party_silent", {}, ()),
    ],
)
def test_whom_a_refusal_speaks_against(
    code: str, details: dict[str, Any], against: tuple[str, ...]
) -> None:
    assert culprits(SecureFlowError(code, "no", "", details), ME) == against


def test_every_refusal_of_the_masked_client_accuses() -> None:
    """docs/secagg.md lists what a client refuses; each line is an accusation, but for its own."""
    text = (Path(__file__).parents[2] / "docs" / "secagg.md").read_text()
    table = text.split("## What a client refuses")[1].split("An identical repeated question")[0]
    codes = {
        code
        for line in table.splitlines()
        if line.startswith("| ")
        for code in line.rsplit("|", 2)[1].replace("`", " ").replace(",", " ").split()
        if "_" in code
    }
    assert len(codes) > 20
    assert codes - ACCUSING == {"second_update"}  # this party's own update came out otherwise


async def test_the_first_vote_needs_the_charters_quorum_in_whatever_round(tmp_path: Path) -> None:
    """A centre that leaves out what comes first does not come by with the roster's quorum."""
    world = World(tmp_path / "agent", members=("bank-x", "bank-y"))
    await world.admitted()
    world.record(await world.ask("train", world.train_body(1)))  # never asked to vote on it
    second = world.train_body(2)
    await world.ask("train", second)
    for few in (list(world.keys), [ME, "bank-x", "bank-y"]):
        body = world.close_body(second, cosigned=world.cosigned(second["head"], by=few))
        error = await refused(world, "close", body)
        assert (error.code, error.details["needed"]) == ("head_not_cosigned", 4)
    world.reopen()
    world.record(await world.ask("train", second))
    assert (await world.ask("close", world.close_body(second)))["vote"]
    third = world.train_body(3)
    await world.ask("train", third)
    roster = world.cosigned(third["head"], by=list(world.keys))
    assert (await world.ask("close", world.close_body(third, cosigned=roster)))["vote"]


async def test_two_statements_about_one_channel_convict_their_signer(world: World) -> None:
    """The evidence is both statements: the request has only the second."""
    await world.admitted()
    statements = [{"body": {"certificate": one}} for one in ("a", "b")]
    error = contradiction("bank-b", *statements)
    job = world.store.job(JOB)
    assert job is not None
    accuse(world.assembly.context, job, "peer_run", {"job": JOB}, error)
    document = accusation(world, error, "peer_run", statements)
    assert document["against"] == ["bank-b"]
