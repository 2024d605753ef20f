"""A malicious operator against budgets and witnesses, over the real links, with real rows.

Five organisations, each with 300 rows and a budget of its own. The operator replays jobs, reuses
their names, asks for more than was approved, has an agent's record set back, and leaves stages out.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from peers.operator import Operator, Run, operating, refusal

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.masked import model_binding
from secureflow.engines.run.messages import Cosigned
from secureflow.engines.run.run import cosigned_note
from secureflow.engines.secagg.messages import pack, unpack
from secureflow.engines.training.models import initial_model_digest
from secureflow.kit.canonical import b64decode, b64encode
from tests.survival.world import platform

JSON = Any
pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 100.0
PRIVACY = {"delta": 1e-6, "noise_multiplier": 4.0, "rows": 900}
THREE = ("bank-a", "bank-b", "bank-c")


def private(
    operator: Operator, privacy: JSON = PRIVACY, parties: Sequence[str] = THREE
) -> TrainingSpec:
    """Return a private job's spec."""
    return operator.spec_over_rows("bounds", parties, privacy=privacy)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    budget = DatasetPrivacy("customers", LIMIT, 1e-5, required=False)
    directory = tmp_path_factory.mktemp("budget") / "p"
    with platform(directory, 5, mortal=False, budget=budget) as built:
        yield built


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(place: Platform) -> AsyncIterator[Operator]:
    async with operating(place) as centre:
        yield centre


@pytest_asyncio.fixture(loop_scope="module")
async def run(operator: Operator) -> AsyncIterator[Run]:
    course = Run(operator, private(operator))
    yield course
    await course.give_up()


def cosigned(replies: JSON) -> dict[str, Cosigned]:
    """Read the cosignatures of replies as a script does."""
    return {p: Cosigned(cosignature=reply["cosignature"]) for p, reply in replies.items()}


def budget(operator: Operator, party: str = "bank-a") -> JSON:
    """Return what the owner is told of its one domain."""
    (domain,) = api.data_budget(operator.platform.parties[party].config, exact=False)
    return domain


def charge(operator: Operator, run: Run, party: str = "bank-a") -> tuple[str, int]:
    """Return the state of the run's reservation, and how many releases it pays for."""
    held = [r for r in budget(operator, party)["reservations"] if r["job"] == run.job]
    assert len(held) == 1
    return held[0]["state"], sum(one["count"] for one in held[0]["charge"])


async def test_a_job_that_is_replayed_is_charged_once(run: Run) -> None:
    """Consent, admission and training again, before and after the job's end."""
    operator = run.operator
    consent = dict((await run.until("consent")).body)
    admitting = await run.until("admit")
    admission = {**admitting.body, **admitting.each["bank-a"]}
    training = await run.until("train", round=1)
    assert charge(operator, run) == ("reserved", 3)
    before = budget(operator)["spent"]
    first = await operator.ask(run.job, "bank-a", "train", training.body)
    assert charge(operator, run) == ("committed", 3)
    again = await operator.ask(run.job, "bank-a", "train", training.body)
    assert (again["leaf"], again["receipt"]) == (first["leaf"], first["receipt"])
    told = await operator.ask(run.job, "bank-a", "consent", consent)
    assert told["approval"] == run.seen["consent"]["replies"]["bank-a"]["approval"]
    await operator.ask(run.job, "bank-a", "admit", admission)
    assert budget(operator)["spent"] == before
    await run.until("train", round=2)
    await run.give_up()
    assert charge(operator, run) == ("committed", 1)  # one round is on record
    after = budget(operator)["spent"]
    assert after < before
    for verb, body in (("admit", admission), ("train", training.body)):
        error = await refusal(operator.ask(run.job, "bank-a", verb, body))
        assert error.code == "job_finished"
    assert budget(operator)["spent"] == after


async def test_a_jobs_name_with_another_charge(run: Run) -> None:
    """What was approved at ε is not asked for at another one: a job's name is its reservation's."""
    operator = run.operator
    training = await run.until("train", round=1)
    before = budget(operator)
    for privacy in ({**PRIVACY, "noise_multiplier": 8.0}, {**PRIVACY, "noise_multiplier": 0.5}):
        other = private(operator, privacy)
        digest = spec_digest(other)
        consent = {"job": run.job, "spec": dump(other), "digest": digest, "expires": 1 << 40}
        for verb, body in (
            ("consent", consent),
            ("train", {**training.body, "digest": digest}),
        ):
            error = await refusal(operator.ask(run.job, "bank-a", verb, body))
            assert run.accused(error, body) == "spec_digest_mismatch"
    assert budget(operator) == before
    await run.until("close", round=1)
    entries = await run.recorded()
    assert ("accusation", "bank-a") in entries


async def test_more_releases_than_were_approved(run: Run) -> None:
    operator = run.operator
    training = await run.until("train", round=3)
    await run.until("close", round=3)
    before = budget(operator)
    for number in (4, 7):
        body = {**training.body, "round": number}
        error = await refusal(operator.ask(run.job, "bank-a", "train", body))
        assert run.accused(error, body) == "stale_round"
    assert budget(operator) == before
    assert charge(operator, run) == ("committed", 3)


async def test_two_jobs_that_together_cost_too_much(operator: Operator) -> None:
    """Both were approved while nothing was reserved; the second finds the budget taken."""
    dear = {**PRIVACY, "noise_multiplier": 0.2}  # ε of about 80 of the 100
    runs = [Run(operator, private(operator, dear)) for _ in range(2)]
    for one in runs:
        await one.until("admit")
    admitting: list[JSON] = [one.effect for one in runs]
    bodies = [{**one.body, **one.each["bank-a"]} for one in admitting]
    await operator.ask(runs[0].job, "bank-a", "admit", bodies[0])
    error = await refusal(operator.ask(runs[1].job, "bank-a", "admit", bodies[1]))
    assert error.code == "budget_exceeded"
    assert error.details["after"] > LIMIT
    assert budget(operator)["spent"] <= LIMIT
    training = runs[1].body(
        round=1, stage="train", generation=1, model=None, moments=None,
        head=await operator.ledger.head(), uplink={"address": "127.0.0.1:1"},
    )  # fmt: skip
    error = await refusal(operator.ask(runs[1].job, "bank-a", "train", training))
    assert error.code == "not_admitted"
    for one in runs:
        await one.give_up()
    assert budget(operator)["spent"] <= LIMIT


async def test_a_record_that_was_set_back(operator: Operator) -> None:
    """bank-e's ε is spent, then its record is restored from a copy: it says so, and takes no part.

    Its owner may let it go on; what was spent stays unknown until the owner says it, and so long it
    approves no private job.
    """
    directory = operator.platform.directory / "bank-e"
    copy = operator.platform.directory / "copy"
    await operator.restart("bank-e", lambda: restore(directory, copy))
    four = (*THREE, "bank-e")
    spent = Run(operator, private(operator, parties=four))
    await spent.until("close", round=1)
    assert charge(operator, spent, "bank-e")[0] == "committed"
    before = budget(operator, "bank-e")["spent"]
    await spent.until("train", round=2)
    await spent.give_up()
    await operator.restart("bank-e", lambda: restore(copy, directory))
    assert budget(operator, "bank-e")["spent"] < before  # the copy knows nothing of it
    early = Run(operator, private(operator, parties=four))
    error = await refusal(early.until("admit"))
    (refused,) = error.details["refusals"]
    assert (refused["party"], refused["code"]) == ("bank-e", "record_set_back")
    assert (await operator.clear_alarm("bank-e"))["code"] == "record_set_back"
    late = Run(operator, private(operator, parties=four))
    error = await refusal(late.until("admit"))
    (refused,) = error.details["refusals"]
    assert (refused["party"], refused["code"]) == ("bank-e", "budget_locked")
    # The others go on without it.
    run = Run(operator, private(operator, parties=THREE))
    await run.until("close", round=1)
    assert sorted(run.seen["train"]["replies"]) == sorted(THREE)
    await run.give_up()


def restore(copy: Path, directory: Path) -> None:
    """Put an agent's files where others are, or none yet."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(copy, directory, ignore=shutil.ignore_patterns("*.sock"))


async def test_one_model_over_two_sets(operator: Operator) -> None:
    """Round 2 from the model of round 1, without bank-d: the difference of the sums is bank-d's.

    From one model a party makes one update with one share of the noise, so the difference would
    carry 1/(t - c) of the variance that round 2 is charged for.
    """
    four = (*THREE, "bank-d")
    shared = {**PRIVACY, "noise": "shared"}
    spec = operator.spec_over_rows("bounds", four, protection="secagg", privacy=shared)
    run = Run(operator, spec)
    honest = await run.until("mask", round=2)
    course, conductor = run.course, run.course.masked.conductors["train"]
    assert course.masked.steps[0]["survivors"] == list(four)
    conductor._round = None
    frames = conductor.begin(1, model_binding(initial_model_digest(spec), None))
    replies = {}
    for party, frame in frames.items():
        body = {**honest.body, "model": None, "begin": b64encode(frame), "steps": []}
        replies[party] = await operator.ask(run.job, party, "mask", body)
        if party != "bank-d":
            conductor.receive(party, b64decode(replies[party]["upload"], 1 << 20))
    conductor.close()
    note, _ = cosigned_note(honest.body["head"], cosigned(replies), spec.keys)
    closing = run.body(round=2, stage="train", cosigned=note)
    for party, frame in conductor.requests().items():
        body = {**closing, "frame": b64encode(frame)}
        error = await refusal(operator.ask(run.job, party, "answer", body))
        assert run.accused(error, body, party) == "model_repeated"
        for number in (1, 3):  # put as a question of another round it is none of this one's
            error = await refusal(operator.ask(run.job, party, "answer", {**body, "round": number}))
            assert error.code == "stale_round"
        asked, _ = unpack(conductor.plan, frame)
        everybody = replace(asked, survivors=four, dead=())  # the sum that they opened before
        body = {**closing, "frame": b64encode(pack(everybody))}
        assert (await operator.ask(run.job, party, "answer", body))["answer"]
    await run.give_up()


async def test_moments_that_are_left_out(operator: Operator) -> None:
    """Round 1 first, on moments of the operator's making, under a head that three of five saw.

    The three are the roster: with bank-d and bank-e the operator could hold another history.
    """
    run = Run(operator, operator.spec_over_rows("federated", THREE, protection="secagg"))
    honest = await run.until("mask", stage="moments")
    note = honest.body["head"]
    course, conductor = run.course, run.course.masked.conductors["train"]
    invented = [900.0, *([0.0, 300.0, 900.0] * 5)]
    initial = initial_model_digest(run.spec)
    frames = conductor.begin(0, model_binding(initial, invented))
    replies = {}
    for party, frame in frames.items():
        body = {**honest.body, "round": 1, "stage": "train", "moments": invented}
        size = {"size": conductor.plan.vector_bytes}
        body |= {"begin": b64encode(frame), "vector": size, "steps": []}
        replies[party] = await operator.ask(run.job, party, "mask", body)
        conductor.receive(party, b64decode(replies[party]["upload"], 1 << 20))
    conductor.close()
    asked = {party: b64encode(frame) for party, frame in conductor.requests().items()}
    roster, cosigners = cosigned_note(note, cosigned(replies), run.spec.keys)
    assert sorted(cosigners) == sorted(THREE)
    for party, frame in asked.items():
        body = run.body(round=1, stage="train", cosigned=roster, frame=frame)
        error = await refusal(operator.ask(run.job, party, "answer", body))
        assert error.code == "head_not_cosigned"
        assert (error.details["found"], error.details["needed"]) == (list(THREE), 4)
    assert not conductor.complete
    # Nothing else was wrong with the question: under the charter's quorum it is answered.
    line = await operator.ask(run.job, "bank-d", "cosign", {"head": note, "job": run.job})
    charter, _ = cosigned_note(roster, cosigned({"bank-d": line}), operator.keys)
    assert course.context.members == operator.keys
    body = run.body(round=1, stage="train", cosigned=charter, frame=asked["bank-a"])
    assert (await operator.ask(run.job, "bank-a", "answer", body))["answer"]
    await run.give_up()
    for party in operator.parties:
        await operator.clear_alarm(party)
