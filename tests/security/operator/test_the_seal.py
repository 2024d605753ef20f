"""A malicious operator against real agents and a real enclave, over the real links.

The operator owns the centre, the link CA, the log key and the network; the parties are processes of
their own. Each attack ends in the refusal of its guard, and what was refused left no trace: the
honest course goes on after it. `tests/security/test_uplink.py` and `test_agent_refusals.py` hold
the finer cases of each guard.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from peers.operator import Fork, Operator, Run, refusal, size_of

from secureflow.adapters.link import Uplink
from secureflow.adapters.tee import SimulatedAttester, SimulatedPlatform
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.engines.attestation import Evidence, parse_evidence
from secureflow.engines.closing import Question, round_context
from secureflow.engines.ledger.notes import attach
from secureflow.engines.script import ENCLAVE, Ask, Effect, Record
from secureflow.engines.sealing import (
    Binding,
    RecipientKey,
    SealedUpdate,
    seal,
    tensor_digest,
    update_manifest,
)
from secureflow.engines.training.models import initial_model_digest, update_layout
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

JSON = Any
pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(loop_scope="package")
async def run(operator: Operator) -> AsyncIterator[Run]:
    course = Run(operator, operator.spec())
    yield course
    await course.give_up()


def forged_update(run: Run, party: str, key: SigningKey, evidence: str) -> SealedUpdate:
    """Seal zeros in a party's name, to the enclave's true key."""
    layout = update_layout(run.spec, "train")
    manifest = update_manifest(layout.parameters, layout.sums)
    binding = Binding(
        run.job, 1, "train", party, run.digest, initial_model_digest(run.spec), evidence, manifest
    )
    plaintext = bytes(4 * layout.parameters) + bytes(8 * layout.sums)
    hpke = run.seen["open"]["replies"][ENCLAVE]["hpke"]
    return seal(binding, memoryview(plaintext), hpke, key)


async def send(run: Run, as_whom: str, sealed: SealedUpdate) -> SecureFlowError:
    """Upload over a link whose certificate the operator minted."""
    uplink = Uplink(run.operator.credentials(as_whom))
    try:
        address = run.seen["open"]["replies"][ENCLAVE]["uplink"]
        return await refusal(uplink.send(address, sealed, secrets.token_hex(32)))
    finally:
        await uplink.close()


def question(run: Run, survivors: str, number: int = 1) -> JSON:
    """Return a closing question over banks by letter."""
    alive = tuple(f"bank-{letter}" for letter in survivors)
    model = initial_model_digest(run.spec)
    context = round_context(
        run.job, number, "train", spec=run.digest, model=model, roster=run.spec.parties
    )
    dead = tuple(sorted(set(run.spec.parties) - set(alive)))
    return Question(run.job, number, "train", context, alive, dead).as_json()


# Whom the operator invents.


async def test_forged_sender(run: Run) -> None:
    await run.until("train")
    evidence = run.seen["attest"]["replies"][ENCLAVE]["evidence"]["bank-a"]
    mine = forged_update(run, "bank-a", SigningKey.generate(), parse_evidence(evidence).digest)
    assert (await send(run, "bank-a", mine)).code == "update_forged"
    await run.until("close")
    assert sorted(run.seen["train"]["replies"]) == list(run.spec.parties)


async def test_minted_party(run: Run) -> None:
    """The CA vouches for links, never for organisations."""
    operator, key = run.operator, SigningKey.generate()
    line = {"party": "bank-x", "key": key.public, "dataset": ""}
    wider = operator.spec(roster=[*dump(run.spec)["roster"], line])
    body = {"job": run.job, "spec": dump(wider), "digest": spec_digest(wider), "expires": 1 << 40}
    for party in operator.parties:
        error = await refusal(operator.ask(run.job, party, "consent", body))
        assert (error.code, error.details["party"]) == ("charter_mismatch", "bank-x")
    await run.until("train")
    stranger = forged_update(run, "bank-x", key, "ab" * 32)
    assert (await send(run, "bank-x", stranger)).code == "party_not_in_roster"


async def test_roster_shrinking(run: Run) -> None:
    operator = run.operator
    opening = await run.until("open")
    spec = dump(run.spec)
    fewer = {**opening.body, "spec": {**spec, "roster": spec["roster"][:3]}}
    fewer["approvals"] = {p: opening.body["approvals"][p] for p in ("bank-a", "bank-b", "bank-c")}
    fewer["recipients"] = {}
    refused = await refusal(operator.ask(run.job, ENCLAVE, "open", fewer))
    assert refused.code == "approval_mismatch"
    closing = await run.until("close")
    shown = [
        (question(run, "ab"), "survivors_too_few"),
        (question(run, "bcd"), "voted_dead"),
        ({"dead": ["bank-x"]}, "dead_inconsistent"),
    ]
    for changes, code in shown:
        asked = {**closing.body, **changes}
        error = await refusal(operator.ask(run.job, "bank-a", "close", asked))
        assert run.accused(error, asked) == code
    entries = await run.recorded()
    assert [kind for kind, author in entries if author == "bank-a"].count("accusation") == 3


async def test_two_dead_lists(run: Run) -> None:
    """bank-a votes that bank-d is dead; told then that bank-c is, it accuses."""
    operator = run.operator
    closing = await run.until("close")
    split = {**closing.body, **question(run, "abc")}
    assert (await operator.ask(run.job, "bank-a", "close", split))["vote"]
    other = {**closing.body, **question(run, "abd")}
    error = await refusal(operator.ask(run.job, "bank-a", "close", other))
    assert run.accused(error, other) == "vote_already_cast"
    entries = await run.recorded()  # three others voted; the round is closed, and this in the log
    assert ("accusation", "bank-a") in entries
    assert ("round.closed", "server") in entries


async def test_forged_or_replayed_approval(run: Run) -> None:
    operator = run.operator
    earlier = Run(operator, operator.spec())
    await earlier.until("challenge")
    opening = await run.until("open")
    approvals = opening.body["approvals"]
    forged = {**approvals["bank-d"]}
    forged["signature"] = SigningKey.generate().sign("approval", forged["body"])
    longer = {**approvals["bank-d"], "body": {**approvals["bank-d"]["body"], "expires": 1 << 40}}
    replayed = earlier.seen["consent"]["replies"]["bank-d"]["approval"]
    for approval, code in (
        (forged, "approval_forged"),
        (longer, "approval_forged"),
        (replayed, "approval_mismatch"),
    ):
        body = {**opening.body, "approvals": {**approvals, "bank-d": approval}}
        assert (await refusal(operator.ask(run.job, ENCLAVE, "open", body))).code == code
    own = {p: a for p, a in approvals.items() if p != "bank-d"}
    for party in ("bank-a", "bank-b"):
        own.pop(party)
    body = {**opening.body, "approvals": own, "recipients": {}}
    assert (await refusal(operator.ask(run.job, ENCLAVE, "open", body))).code == "approvals_missing"
    await earlier.give_up()


async def test_an_agent_trains_no_job_that_it_did_not_approve(run: Run) -> None:
    training = await run.until("train")
    stolen = {**training.body, "job": "job_0123456789abcdefghjk"}
    refused = await refusal(run.operator.ask(stolen["job"], "bank-a", "train", stolen))
    assert refused.code == "not_approved"


# What the operator shows: models, rounds, sets.


async def test_a_model_that_the_enclave_did_not_sign(run: Run) -> None:
    operator = run.operator
    training = await run.until("train", round=2)
    model = training.body["model"]
    crafted = bytes([0, 0, 128, 63]) * 64
    digest = tensor_digest(memoryview(crafted))
    swapped = {**model, "digest": digest, "artifact": digest}
    own_key = {**model["release"], "model": digest}
    own_key["signature"] = SigningKey.generate().sign("release", own_key)
    for shown in (swapped, {**swapped, "release": own_key}, {**swapped, "release": None}):
        body = {**training.body, "model": shown}
        refused = await refusal(operator.ask(run.job, "bank-a", "train", body))
        assert run.accused(refused, body) == "unreleased_model"
    sums = {**model["release"], "sums": [1e9 for _ in model["release"]["sums"]]}
    body = {**training.body, "model": {**model, "release": sums}}
    refused = await refusal(operator.ask(run.job, "bank-a", "train", body))
    assert refused.code in {"unreleased_model", "release_malformed"}


async def test_stale_and_replayed_rounds(run: Run) -> None:
    operator = run.operator
    first = await run.until("train", round=1)
    second = await run.until("train", round=2)
    await run.until("close", round=2)
    again = await operator.ask(run.job, "bank-a", "train", second.body)
    told = run.seen["train"]["replies"]["bank-a"]
    assert again["leaf"] == told["leaf"]  # the same update, not another one
    assert again["receipt"] == told["receipt"]
    third = await run.until("train", round=3)
    refused = await refusal(operator.ask(run.job, "bank-a", "train", first.body))
    assert run.accused(refused, first.body) == "stale_round"
    old_model = {**third.body, "model": second.body["model"]}
    refused = await refusal(operator.ask(run.job, "bank-a", "train", old_model))
    assert refused.code == "stale_round"
    refused = await refusal(
        operator.ask(run.job, ENCLAVE, "roll", run.body(round=1, stage="train"))
    )
    assert refused.code == "stale_round"
    await run.until("close", round=3)


async def test_a_run_that_takes_its_time_stays_open(run: Run) -> None:
    """An enclave asks every half minute which of its jobs are over, and forgets those."""
    await run.until("train")
    assert await run.operator.overdue.ended([run.job]) == []


async def test_release_kill_release_with_another_set(run: Run) -> None:
    """Sums over {a, b, c} and {a, b, d} would differ by two parties' updates."""
    operator = run.operator
    training = await run.until("train")
    await run.step(await answers(run, training, "abc"))
    closing = await run.until("close")
    closing_body = {**closing.body, **question(run, "abc")}
    await run.step(await answers(run, closing, "abc", closing_body))
    releasing = await run.until("release")
    released = await operator.ask(run.job, ENCLAVE, "release", releasing.body)
    assert released["survivors"] == ["bank-a", "bank-b", "bank-c"]

    await operator.lose_enclave()
    opening = await reopened(run)
    assert opening["hpke"] != run.seen["open"]["replies"][ENCLAVE]["hpke"]
    body = {**training.body, "generation": 2, "uplink": {"address": opening["uplink"]}}
    for party in ("bank-a", "bank-b", "bank-d"):
        await operator.ask(run.job, party, "train", body)
    other = {**closing.body, **question(run, "abd")}
    for party in ("bank-a", "bank-b"):
        refused = await refusal(operator.ask(run.job, party, "close", other))
        assert refused.code == "vote_already_cast"
        assert refused.details["voted"]["dead"] == ["bank-d"]
    refused = await refusal(operator.ask(run.job, ENCLAVE, "release", releasing.body))
    assert refused.code == "survivors_mismatch"
    # What the agents signed on the way goes with their ends into the log, or nobody witnesses it.
    await run.give_up()
    assert not any([await operator.clear_alarm(party) for party in operator.parties])


async def answers(run: Run, effect: Ask, letters: str, body: JSON = None) -> JSON:
    """Ask only some parties, and pretend that these were all."""
    replies = {}
    for party in (f"bank-{letter}" for letter in letters):
        replies[party] = await run.operator.ask(
            run.job, party, effect.verb, body or dict(effect.body)
        )
    return {"replies": replies, "failures": {}}


async def reopened(run: Run) -> JSON:
    """Open the job in the new enclave and have every agent verify it, as generation 2."""
    operator = run.operator
    challenges = {
        party: await operator.ask(run.job, party, "challenge", run.body(generation=2))
        for party in operator.parties
    }
    recipients = {
        party: {"recipient": reply["recipient"], "signature": reply["signature"]}
        for party, reply in challenges.items()
    }
    approvals = {p: r["approval"] for p, r in run.seen["consent"]["replies"].items()}
    body = run.body(
        spec=dump(run.spec), approvals=approvals, generation=2, recipients=recipients,
        expected=None, model=None,
    )  # fmt: skip
    opened = await operator.ask(run.job, ENCLAVE, "open", body)
    nonces = {party: reply["nonce"] for party, reply in challenges.items()}
    made = await operator.ask(run.job, ENCLAVE, "attest", run.body(nonces=nonces))
    for party, evidence in made["evidence"].items():
        body = run.body(generation=2, evidence=evidence, model=None)
        await operator.ask(run.job, party, "admit", body)
    return opened


# What the operator shows in the enclave's place.


def replayed(run: Run, evidence: Evidence) -> Evidence:
    """Another agent's evidence: genuine, and for another nonce."""
    del evidence
    shown = run.seen["attest"]["replies"][ENCLAVE]["evidence"]["bank-b"]
    return parse_evidence(shown)


def for_another_key(run: Run, evidence: Evidence) -> Evidence:
    del run
    mine = {**evidence.runtime_data, "hpke": RecipientKey.generate().public}
    return replace(evidence, runtime_data=mine)


def made_on(
    root: SimulatedPlatform | None = None, *, days: int = 0, **attester: JSON
) -> Callable[[Run, Evidence], Evidence]:
    """Evidence for the right nonce and keys, made elsewhere, earlier, or by other code.

    The operator of a SIMULATED enclave holds its root's key: here that is the attack's tool.
    """

    def make(run: Run, evidence: Evidence) -> Evidence:
        machine = root or SimulatedPlatform.load(run.operator.platform.enclave / "simulated")
        at = int(time.time()) - days * 86_400
        return SimulatedAttester(machine, **attester).attest(evidence.runtime_data, at)

    return make


NOW = int(time.time())
FALSE_EVIDENCE = {
    "replayed": (replayed, "evidence_not_fresh", "fresh"),
    "for another key": (for_another_key, "evidence_not_bound", "fresh"),
    "stale": (made_on(days=2), "evidence_not_fresh", "fresh"),
    "collateral of last season": (made_on(days=90), "evidence_not_authentic", "authentic"),
    "debug": (made_on(debug=True), "evidence_not_acceptable", "acceptable"),
    "other code": (made_on(measurement="cd" * 32), "evidence_not_acceptable", "acceptable"),
    "unknown root": (
        made_on(SimulatedPlatform.generate(NOW)),
        "evidence_not_authentic",
        "authentic",
    ),
}


@pytest.mark.parametrize("kind", FALSE_EVIDENCE)
async def test_evidence_that_does_not_hold(run: Run, kind: str) -> None:
    make, code, stage = FALSE_EVIDENCE[kind]
    operator = run.operator
    admitting = await run.until("admit")
    genuine = admitting.each["bank-a"]["evidence"]
    false = make(run, parse_evidence(genuine)).as_json()
    body = {**admitting.body, "evidence": false}
    refused = await refusal(operator.ask(run.job, "bank-a", "admit", body))
    assert (refused.code, refused.details["stage"]) == (code, stage)
    # Without a verdict nothing is trained, and so nothing is uploaded.
    training = run.body(
        round=1, stage="train", generation=1, model=None, moments=None,
        head=await operator.ledger.head(), uplink={"address": "127.0.0.1:1"},
    )  # fmt: skip
    assert (await refusal(operator.ask(run.job, "bank-a", "train", training))).code == (
        "not_admitted"
    )
    # The true evidence for the same nonce still counts; once.
    await operator.ask(run.job, "bank-a", "admit", {**admitting.body, "evidence": genuine})
    await run.until("train")


async def test_evidence_of_an_earlier_generation(run: Run) -> None:
    operator = run.operator
    admitting = await run.until("admit")
    old = admitting.each["bank-a"]["evidence"]
    await run.until("train")
    await operator.ask(run.job, "bank-a", "challenge", run.body(generation=2))
    body = {**admitting.body, "generation": 2, "evidence": old}
    refused = await refusal(operator.ask(run.job, "bank-a", "admit", body))
    assert (refused.code, refused.details["stage"]) == ("evidence_not_fresh", "fresh")


async def test_a_job_whose_enclave_nobody_believes_says_at_which_stage(run: Run) -> None:
    make, code, _ = FALSE_EVIDENCE["debug"]

    def debug(effect: Effect) -> Effect:
        if not isinstance(effect, Ask) or effect.verb != "admit":
            return effect
        shown = {
            party: {"evidence": make(run, parse_evidence(own["evidence"])).as_json()}
            for party, own in effect.each.items()
        }
        return replace(effect, each=shown)

    run.tamper = debug
    with pytest.raises(SecureFlowError) as failed:
        await run.until("train")
    assert failed.value.code == code
    for party in run.operator.parties:
        assert failed.value.details["failures"][party]["details"]["stage"] == "acceptable"


# What the operator does to the log.


async def cut(run: Run, how: str) -> Fork:
    """Sign a longer history in which an entry that the agents have seen is another one."""
    operator = run.operator
    training = await run.until("train", round=2)
    size = size_of(training.body["head"])
    leaves = await operator.leaves(size)
    place = operator.link.status("bank-a").log_size - 2
    if how == "edited":
        leaves[place] = leaves[place].replace(b'"at":1', b'"at":2', 1)
    elif how == "dropped":
        del leaves[place]
    else:
        leaves[place], leaves[place - 1] = leaves[place - 1], leaves[place]
    assert leaves != await operator.leaves(size)
    return operator.fork([*leaves, b"one more", b"and one"])


@pytest.mark.parametrize("how", ["edited", "dropped", "reordered"])
async def test_a_history_that_was_rewritten(run: Run, how: str) -> None:
    operator = run.operator
    fork = await cut(run, how)
    training = await run.until("train", round=2)
    shown = operator.show(run, "bank-a", "train", training.body, fork)
    refused = await refusal(shown)
    assert refused.code == "ledger_inconsistent"
    kept = Path(refused.details["evidence"])
    assert kept.is_relative_to(operator.platform.parties["bank-a"].directory)
    # The alarm stands until the owner lifts it: nothing more is done for this centre.
    refused = await refusal(operator.ask(run.job, "bank-a", "train", training.body))
    assert refused.code == "ledger_inconsistent"
    assert (await operator.clear_alarm("bank-a"))["code"] == "ledger_inconsistent"
    await run.until("close", round=2)


async def test_an_entry_of_a_party_that_is_left_out(run: Run) -> None:
    first: list[str] = []

    def without_its_first(effect: Effect) -> Effect:
        if not isinstance(effect, Record):
            return effect
        first.extend(e["signed"]["leaf"]["commitment"] for e in effect.entries if _is_update(e))
        return Record(
            tuple(
                e for e in effect.entries
                if not _is_update(e) or e["signed"]["leaf"]["commitment"] != first[0]
            )
        )  # fmt: skip

    run.tamper = without_its_first
    await run.until("close", round=2)
    assert "bank-a" in run.seen["train"]["replies"]  # it may have been late, once
    await run.until("close", round=3)  # a later one of its leaves is in the log: that is noted
    await run.until("close", round=4)
    assert run.seen["train"]["failures"]["bank-a"]["code"] == "leaf_missing"
    await run.give_up()
    assert (await run.operator.clear_alarm("bank-a"))["code"] == "leaf_missing"


def _is_update(entry: JSON) -> bool:
    leaf = entry["signed"]["leaf"] if "signed" in entry else {}
    return leaf.get("author") == "bank-a" and leaf.get("kind") == "update"


def proof_of_fraud(refused: SecureFlowError) -> str:
    """Return what the agent kept: both notes, and whether they convict the log."""
    return Path(refused.details["evidence"]).read_text()


async def test_two_agents_shown_different_heads(run: Run) -> None:
    """The last test here: the two halves do not trust this log again."""
    operator = run.operator
    training = await run.until("train", round=2)
    leaves = await operator.leaves(size_of(training.body["head"]))
    left, right = (operator.fork([*leaves, b"paid to %s" % whom]) for whom in (b"a", b"b"))
    lines: dict[str, list[str]] = {"left": [], "right": []}
    halves = {"left": (left, ("bank-a", "bank-b")), "right": (right, ("bank-c", "bank-d"))}
    for name, (fork, parties) in halves.items():
        for party in parties:
            reply = await operator.show(run, party, "train", training.body, fork)
            lines[name].append(reply["cosignature"])
    closing = question(run, "abcd", number=2)
    for name, (fork, parties) in halves.items():
        mixed = Fork(fork.tree, attach(fork.note, lines[name]))
        body = {**run.body(), **closing}
        refused = await refusal(operator.show(run, parties[0], "close", body, mixed))
        assert refused.code == "head_not_cosigned"
    refused = await refusal(operator.show(run, "bank-b", "train", training.body, right))
    assert refused.code == "ledger_inconsistent"
    assert '"fraud_proof": true' in proof_of_fraud(refused)
