"""A malicious operator against the masks of real agents, over the real links.

Without an enclave the operator's own aggregator is the adversary. Each attack of docs/secagg.md
ends in the refusal of its guard, nothing was revealed, and the refusal is signed: a ledger leaf
that accuses. The honest course goes on as long as t parties are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from peers.links import until
from peers.operator import Operator, Run, refusal

from secureflow.application.ports.courier import Request
from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.engines.closing import Certificate, Question, Vote
from secureflow.engines.run.masked import model_binding
from secureflow.engines.run.messages import Cosigned
from secureflow.engines.run.run import cosigned_note
from secureflow.engines.script import AGGREGATOR, Effect, Record
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.secagg import Conductor
from secureflow.engines.secagg.messages import (
    SEALED_BYTES,
    Begin,
    Meet,
    RoundKey,
    Setup,
    pack,
    sign_round_key,
    sign_setup,
    unpack,
)
from secureflow.engines.training.models import initial_model_digest
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.crypto import SigningKey

JSON = Any
pytestmark = pytest.mark.asyncio(loop_scope="package")
PATIENCE = 8.0  # seconds without a sign of life: far more than a busy machine needs


@pytest_asyncio.fixture(loop_scope="package")
async def run(operator: Operator) -> AsyncIterator[Run]:
    honest = Run(operator, operator.spec(protection="secagg"))
    yield honest
    await honest.give_up()


def conductor(run: Run) -> Conductor:
    """Return the operator's own half of the open session."""
    found: Conductor = run.course.masked.conductors["train"]
    return found


def asked(run: Run, party: str = "bank-a", **changes: JSON) -> JSON:
    """Return what the script would ask a party now, with changes."""
    effect: Any = run.effect
    return {**effect.body, **effect.each.get(party, {}), **changes}


async def refused(
    run: Run, verb: str, body: JSON, party: str = "bank-a", against: Sequence[str] = ("server",)
) -> str:
    """Ask, and return the code of the refusal, which must be a signed accusation."""
    error = await refusal(run.operator.ask(run.job, party, verb, body))
    return run.accused(error, body, party, against)


def question(run: Run, survivors: str, dead: str | None = None, **changes: JSON) -> Question:
    """Return a closing question over banks by letter, under the open round's true context."""
    at = conductor(run)
    alive = tuple(f"bank-{letter}" for letter in survivors)
    rest = tuple(sorted(set(run.spec.parties) - set(alive)))
    gone = rest if dead is None else tuple(f"bank-{letter}" for letter in dead)
    facts = {"round": at._open_round().number, "context": at.context} | changes
    return Question(
        at.plan.job,
        stage="secagg",
        survivors=alive,
        dead=gone,
        **facts,  # type: ignore[arg-type]
    )


async def put(run: Run, frame: Question | Certificate, party: str = "bank-a") -> str:
    """Put a question or a certificate to a party and return the code of its refusal."""
    return await refused(run, "answer", asked(run, frame=b64encode(pack(frame))), party)


def opened_begin(run: Run, party: str = "bank-a") -> tuple[Begin, list[bytes]]:
    """Return a party's BEGIN frame: its keys, and the shares sealed to the party."""
    message, body = unpack(conductor(run).plan, b64decode(asked(run, party)["begin"]))
    pieces = [bytes(body[at : at + SEALED_BYTES]) for at in range(0, len(body), SEALED_BYTES)]
    return message, pieces


async def begin_refused(
    run: Run, begin: Begin, shares: list[bytes], against: Sequence[str] = ("server",)
) -> str:
    """Show a party another BEGIN and return the code of its refusal."""
    body = asked(run, begin=b64encode(pack(begin, b"".join(shares))))
    return await refused(run, "mask", body, against=against)


# Who was not drawn.


async def test_nobody_signs_for_a_party_that_was_not_drawn(operator: Operator) -> None:
    """All but one are drawn; the operator begins the round with everybody, and counts everybody."""
    count = len(operator.parties) - 1
    plan = {"rounds": 5, "validation": 0.0, "parties_per_round": count}
    run = Run(operator, operator.spec(protection="secagg", plan=plan))
    drawn = drawn_parties(run.spec, run.digest, 1)
    await run.until("mask", round=1)
    at = conductor(run)
    at._round = None
    frames = at.begin(0, model_binding(initial_model_digest(run.spec), None))
    assert sorted(frames) == sorted(operator.parties)
    cosigned, head = {}, asked(run)["head"]
    for party in drawn:
        body = asked(run, party, begin=b64encode(frames[party]))
        reply = await operator.ask(run.job, party, "mask", body)
        cosigned[party] = Cosigned(cosignature=reply["cosignature"])
    note, _ = cosigned_note(head, cosigned, operator.keys)
    letters = "".join(one.removeprefix("bank-") for one in run.spec.parties)
    frame = b64encode(pack(question(run, letters)))
    body = run.body(round=1, stage="train", cosigned=note, frame=frame)
    assert await refused(run, "answer", body, drawn[0]) == "survivors_undrawn"
    await run.give_up()


# Who is away when the keys are set up.


def roster(run: Run) -> tuple[str, ...]:
    """Return who is in the open round."""
    return conductor(run).roster


@pytest.mark.parametrize(
    "protection", ["secagg", pytest.param("sealed+secagg", marks=pytest.mark.full)]
)
async def test_a_party_away_at_the_set_up_comes_back(operator: Operator, protection: str) -> None:
    """The course is driven step by step, so that the party is gone and back exactly then."""
    limits = {"patience_seconds": PATIENCE}
    run = Run(operator, operator.spec(protection=protection, limits=limits))
    gone = operator.platform.processes["bank-d"]
    await run.until("setup")
    gone.kill()
    await until(lambda: not operator.link.status("bank-d").connected)
    await run.until("answer", round=1)
    others = ("bank-a", "bank-b", "bank-c")
    assert roster(run) == others
    # It is asked again each round, and its absence is known at once: one question, as a round of
    # all takes what the machine takes.
    now = asyncio.get_running_loop().time
    began = now()
    away = Request(f"{run.job}/away", "bank-d", "mask", {}, PATIENCE)
    assert (await refusal(operator.link.ask(away))).code == "party_silent"
    assert now() - began < PATIENCE / 2
    await run.until("answer", round=2)
    assert roster(run) == others
    operator.platform.start("bank-d", wait=False)
    await operator.standing()
    await run.until("answer", round=3)
    assert roster(run) == (*others, "bank-d")
    await run.until("finish")
    assert run.course.contributed.rounds["bank-d"] == 3
    dropouts = run.course.contributed.dropouts
    assert {(one["party"], one["code"]) for one in dropouts} == {("bank-d", "party_silent")}
    assert {one["round"] for one in dropouts} == {0, 1, 2}
    await run.give_up()


# Whom the operator calls dead.


async def test_two_dead_lists(run: Run) -> None:
    """bank-a votes that bank-d is dead; told then that nobody is, it reveals nothing."""
    await run.until("answer", round=1)
    operator = run.operator
    split = question(run, "abc")
    body = asked(run, frame=b64encode(pack(split)))
    ballot = await operator.ask(run.job, "bank-a", "answer", body)
    vote, _ = unpack(conductor(run).plan, b64decode(ballot["answer"]))
    assert Vote(split, "bank-a", vote.signature).holds_under(run.spec.keys["bank-a"])
    assert await put(run, question(run, "abcd")) == "vote_already_cast"
    assert await put(run, question(run, "abd")) == "vote_already_cast"
    # Three others are enough; the round closes, and the accusation stands in the ledger.
    entries = await run.recorded()
    assert [kind for kind, author in entries if author == "bank-a"].count("accusation") == 1
    assert ("round.closed", "server") in entries


async def test_double_query_and_shrinking(run: Run) -> None:
    await run.until("answer", round=1)
    assert await put(run, question(run, "abcd", "d")) == "active_and_dead"
    assert await put(run, question(run, "ab")) == "fewer_than_three"
    assert await put(run, question(run, "bcd")) == "voted_dead"
    assert await put(run, question(run, "abc", "")) == "dead_inconsistent"
    assert await put(run, question(run, "abcd", context="ab" * 32)) == "vote_other_context"
    await run.until("mask", round=2)  # an honest question after all that is answered


async def test_certificates_that_nobody_gave(run: Run) -> None:
    await run.until("answer", round=1)
    split = question(run, "abc")
    signature = SigningKey.generate().sign("vote", split.body("bank-b"))
    forged = Certificate(split, dict.fromkeys(("bank-a", "bank-b", "bank-c"), signature))
    assert await put(run, forged) == "certificate_forged"
    body = asked(run, frame=b64encode(pack(split)))
    ballot = await run.operator.ask(run.job, "bank-b", "answer", body)
    vote, _ = unpack(conductor(run).plan, b64decode(ballot["answer"]))
    assert await put(run, Certificate(split, {"bank-b": vote.signature})) == "certificate_short"


async def test_a_question_of_another_round(run: Run) -> None:
    await run.until("answer", round=1)
    first = question(run, "abcd")
    await run.until("answer", round=2)
    assert await put(run, first) == "stale_round"
    # A round that is on no record would be voted on under no witnesses at all.
    frame = b64encode(pack(question(run, "abcd")))
    unwitnessed = asked(run, frame=frame, round=9, cosigned=run.course.ledger.note)
    assert await refused(run, "answer", unwitnessed) == "stale_round"


# Whose keys the operator shows.


async def test_key_substitution(run: Run) -> None:
    await run.until("mask", round=1)
    begin, shares = opened_begin(run)
    mine, plan = SigningKey.generate(), conductor(run).plan
    at = next(n for n, key in enumerate(begin.keys) if key.party == "bank-b")
    victim = begin.keys[at]
    setup = conductor(run)._setups["bank-b"]
    own = sign_round_key(mine, setup, 0, victim.key, victim.commitment)
    assert await begin_refused(run, swapped(begin, at, own), shares) == "forged_key"
    moved = replace(victim, key=begin.keys[at + 1].key)
    assert await begin_refused(run, swapped(begin, at, moved), shares) == "forged_key"
    zero = replace(victim, round=1)
    assert await begin_refused(run, swapped(begin, at, zero), shares) == "forged_key"
    itself = next(n for n, key in enumerate(begin.keys) if key.party == "bank-a")
    copied = replace(begin.keys[itself], commitment="ab" * 32)
    assert await begin_refused(run, swapped(begin, itself, copied), shares) == "own_key_replaced"
    fake = Meet((sign_setup(mine, plan, "bank-b", setup.key),))
    body = run.body(meet={"train": b64encode(pack(fake))}, rounds={"train": 1})
    assert await refused(run, "advance", body) == "forged_key"
    await run.until("answer", round=1)  # what was refused left no trace
    entries = await run.recorded()  # … but in the ledger, in the order in which it was signed
    own = [kind for kind, author in entries if author == "bank-a"]
    assert own == ["accusation", "accusation", "accusation", "update"]


def swapped(begin: Begin, at: int, key: RoundKey) -> Begin:
    """Return a BEGIN with another key at one place."""
    return replace(begin, keys=(*begin.keys[:at], key, *begin.keys[at + 1 :]))


async def test_a_second_sealing_key(run: Run) -> None:
    """A party that colludes shows one party another sealing key than the others."""
    await run.until("mask", round=1)
    known = conductor(run)._setups["bank-b"]
    key = SigningKey.load(run.operator.platform.directory / "bank-b" / "signing.key")
    other = conductor(run)._setups["bank-c"].key
    second: Setup = sign_setup(key, conductor(run).plan, "bank-b", other)
    assert second.digest != known.digest
    body = run.body(meet={"train": b64encode(pack(Meet((second,))))}, rounds={"train": 1})
    assert await refused(run, "advance", body, against=["bank-b"]) == "setup_changed"


async def test_swapped_and_reflected_shares(run: Run) -> None:
    """Which of the two did it, the centre or bank-b, cannot be told: both are named."""
    await run.until("mask", round=1)
    begin, shares = opened_begin(run)
    either = ["server", "bank-b"]
    reflected = conductor(run)._coming[0]["bank-a"].share_for("bank-b")
    flipped = bytes([shares[0][0] ^ 1]) + shares[0][1:]
    for first in (shares[1], reflected, flipped):
        shown = [first, *shares[1:]]
        assert await begin_refused(run, begin, shown, against=either) == "share_unopenable"


async def test_forged_zero_updates(run: Run) -> None:
    """n - 1 zero updates in the others' names would leave the victim's alone in the sum."""
    await run.until("mask", round=1)
    begin, shares = opened_begin(run)
    plan = conductor(run).plan
    mine = SigningKey.generate()
    # Keys of the operator's own making in the place of everybody else's.
    forged = [
        key
        if key.party == "bank-a"
        else sign_round_key(mine, conductor(run)._setups[key.party], 0, key.key, key.commitment)
        for key in begin.keys
    ]
    assert await begin_refused(run, Begin(0, tuple(forged)), shares) == "forged_key"
    # Parties of its own making: the context would hold one real party among minted ones.
    minted = [
        key if key.party == "bank-a" else replace(key, party=key.party.replace("bank", "shell"))
        for key in begin.keys
    ]
    assert await begin_refused(run, Begin(0, tuple(minted)), shares) == "other_roster"
    setup = sign_setup(mine, plan, "bank-b", conductor(run)._setups["bank-b"].key)
    meet = b64encode(pack(Meet((replace(setup, party="shell-b"),))))
    body = run.body(meet={"train": meet}, rounds={"train": 1})
    assert await refused(run, "advance", body) == "unknown_party"
    # Vectors of zeros beside the victim's true one: its masks stay, and nothing opens.
    effect: Any = await run.until("sum", round=1)
    zeros = bytes(plan.vector_bytes)
    digest = await run.operator.put(zeros, vectors_of=run.job)
    vectors = {p: d if p == "bank-a" else digest for p, d in effect.body["vectors"].items()}
    handler = run.operator.courier._local[AGGREGATOR]
    error = await refusal(handler("sum", {**effect.body, "vectors": vectors}))
    assert error.code == "sum_inconsistent"


async def test_a_roster_of_too_few(run: Run) -> None:
    await run.until("mask", round=1)
    begin, shares = opened_begin(run)
    fewer = Begin(0, begin.keys[:2])
    assert await begin_refused(run, fewer, shares[:1]) == "roster_below_threshold"
    turned = Begin(0, tuple(reversed(begin.keys)))
    assert await begin_refused(run, turned, shares) == "other_roster"


async def test_a_second_context(run: Run) -> None:
    """Once masked towards four, a party masks towards no other set in that round."""
    effect = await run.until("mask", round=1)
    begin, shares = opened_begin(run)
    await run.operator.ask(run.job, "bank-a", "mask", {**effect.body, **effect.each["bank-a"]})
    without_d = Begin(0, begin.keys[:3])
    assert await begin_refused(run, without_d, shares[:2]) == "second_context"


# Models and rounds.


async def test_models_that_no_mean_leads_to(run: Run) -> None:
    await run.until("mask", round=2)
    shown = asked(run)
    (step,) = shown["steps"]
    wrong = asked(run, steps=[{**step, "model": "ab" * 32}], model=named("ab" * 32))
    assert await refused(run, "mask", wrong) == "model_inconsistent"
    crafted = np.full(64, 1e-3, np.float32)
    elsewhere = await published(run, crafted)
    large = await published(run, np.full(64, 1e6, np.float32))
    huge = {**step, **large}
    body = asked(run, steps=[huge], model=named(huge["model"]))
    assert await refused(run, "mask", body) == "model_inconsistent"
    based = {**step, **elsewhere, "base": elsewhere["model"]}
    again = {**step, "model": "cd" * 32}
    body = asked(run, steps=[step, {**based, "model": "cd" * 32}], model=named(again["model"]))
    assert await refused(run, "mask", body) == "model_inconsistent"


async def test_two_parties_with_two_models(run: Run) -> None:
    """A mean of the operator's making passes the caps; its masks do not cancel with the others'."""
    effect = await run.until("mask", round=2)
    (step,) = asked(run)["steps"]
    crafted = await published(run, np.full(64, 1e-3, np.float32))
    body = asked(run, steps=[{**step, **crafted}], model=named(crafted["model"]))
    await run.operator.ask(run.job, "bank-a", "mask", body)
    for party in ("bank-b", "bank-c", "bank-d"):
        await run.operator.ask(run.job, party, "mask", {**effect.body, **effect.each[party]})
    closing = run.body(round=2, stage="train", cosigned=effect.body["head"])
    honest = pack(question(run, "abcd", context=conductor(run).context))
    error = await refusal(
        run.operator.ask(run.job, "bank-a", "answer", {**closing, "frame": b64encode(honest)})
    )
    assert error.code in {"vote_other_context", "head_not_cosigned"}
    again = {**effect.body, **effect.each["bank-a"]}
    assert await refused(run, "mask", again) in {"update_already_sealed", "model_inconsistent"}


async def test_stale_and_replayed_rounds(run: Run) -> None:
    operator = run.operator
    first = await run.until("mask", round=1)
    early = {**first.body, **first.each["bank-a"]}
    told = await operator.ask(run.job, "bank-a", "mask", early)
    again = await operator.ask(run.job, "bank-a", "mask", early)
    assert (again["upload"], again["vector"]) == (told["upload"], told["vector"])
    assert again["leaf"] == told["leaf"]  # the same words, not others
    await run.until("answer", round=2)
    assert await refused(run, "mask", early) == "stale_round"
    third = await run.until("mask", round=3)
    body = {**third.body, **third.each["bank-a"], "begin": early["begin"]}
    assert await refused(run, "mask", body) == "stale_round"


async def test_masks_instead_of_the_seal(operator: Operator) -> None:
    """Under sealed+secagg a vector leaves only inside a seal to a verified enclave."""
    run = Run(operator, operator.spec(protection="sealed+secagg"))
    await run.until("mask", round=1)
    plain = {k: v for k, v in asked(run).items() if k not in ("generation", "uplink")}
    for body in (plain, {**plain, "generation": 1}):
        assert await refused(run, "mask", body) == "protection_unsupported"
    stale = await refusal(operator.ask(run.job, "bank-a", "mask", asked(run, generation=99)))
    assert stale.code == "not_admitted"
    await run.until("answer", round=1)
    await run.give_up()


async def test_an_aggregator_that_lies_about_who_survived(run: Run) -> None:
    """The folding half believes nothing: secrets, certificate and keys are checked again."""
    effect: Any = await run.until("sum", round=1)
    handler = run.operator.courier._local[AGGREGATOR]
    opened = effect.body["opened"]
    for changes, code in (
        ({"secrets": {**opened["secrets"], "bank-a": b64encode(bytes(32))}}, "share_mismatch"),
        ({"model": "ab" * 32}, "certificate_mismatch"),
        ({"keys": opened["keys"][:2]}, "other_roster"),
    ):
        body = {**effect.body, "opened": {**opened, **changes}}
        assert (await refusal(handler("sum", body))).code == code


async def test_an_accusation_that_the_operator_leaves_out(operator: Operator) -> None:
    """A party misses its own leaf, as it would miss any other, and stops."""
    run = Run(operator, operator.spec(protection="secagg"))
    await run.until("answer", round=1)
    assert await put(run, question(run, "bcd")) == "voted_dead"
    known = list(run.course.ledger.waiting)
    run.tamper = lambda effect: without(effect, known)
    try:
        await run.until("sum", round=4)
        dropped = {(one["party"], one["code"]) for one in run.course.contributed.dropouts}
        assert ("bank-a", "leaf_missing") in dropped
        await run.give_up()
    finally:
        assert (await operator.clear_alarm("bank-a"))["code"] == "leaf_missing"


def without(effect: Effect, entries: list[JSON]) -> Effect:
    """Return an effect that records everything but these entries."""
    hidden = [entry["signed"]["leaf"] for entry in entries]
    if not isinstance(effect, Record):
        return effect
    kept = (e for e in effect.entries if e.get("signed", {}).get("leaf") not in hidden)
    return Record(tuple(kept))


def named(digest: str) -> JSON:
    """Return how a request names a model of 64 parameters."""
    return {"digest": digest, "artifact": digest, "size": 256}


async def published(run: Run, mean: np.ndarray) -> JSON:
    """Put a mean of the operator's own into its store; return what a step says of it."""
    digest = await run.operator.put(mean.tobytes())
    return {
        "mean": {"artifact": digest, "size": mean.nbytes},
        "model": tensor_digest(np.zeros(64, np.float32) + mean),
    }
