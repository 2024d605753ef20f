"""Ends of jobs that a party missed: it asks when it is back, and signs its own then."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from secureflow.application.audit import Audit
from secureflow.application.charters import member_keys
from secureflow.application.ports.courier import Request
from secureflow.application.running.asking import Asking
from secureflow.application.running.overdue import MOST, OverdueEnds
from secureflow.application.running.recording import pending_leaves
from secureflow.application.running.recosigning import Recosigning
from secureflow.application.witnessing import Witnessing
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.scoredocument import scores_digest
from secureflow.domain.users import Role
from secureflow.engines.ledger.bundle import BundleVerdict, verify_bundle
from secureflow.engines.ledger.ends import (
    CLOSED,
    FINISHED,
    SERVER,
    End,
    closed_document,
    finished_document,
)
from secureflow.engines.ledger.leaves import leaf_from_json, parse_leaf
from secureflow.engines.run.messages import FinishReply, read_reply
from secureflow.engines.script import Record
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.stage import BANKS, Stage
from tests.unit.application.test_audit import party_leaf
from tests.unit.application.test_recosigning import Parties

AWAY = ("bank-b", "bank-c")


class Back(Parties):
    """Parties that come back: `ends` is how far each one's leaves go, `made` what it answers."""

    def __init__(self, stage: Stage, job: Job, ends: dict[str, End]) -> None:
        super().__init__(stage, away=AWAY)
        self.job, self.ends = job, ends
        self.made: dict[str, list[dict[str, Any]]] = {}
        self.bodies: list[dict[str, Any]] = []

    def sign(
        self, party: str, kind: str, document: Any, prev: str, job: Job | None = None
    ) -> dict[str, Any]:
        signed, leaf = party_leaf(self.stage, party, job or self.job, prev, 0, kind, **document)
        return {"leaf": signed.json(), "document": document, "salt": leaf.salt.hex()}

    def finished(self, party: str, end: End, outcome: str = "failed") -> dict[str, Any]:
        return self.sign(party, FINISHED, finished_document(outcome, end), end.last)

    async def ask(self, request: Request) -> dict[str, Any]:
        reply = await super().ask(request)
        if request.verb == "finish":
            self.bodies.append(dict(request.body))
            party = request.party
            own = self.made.setdefault(party, [self.finished(party, self.ends[party])])
            reply |= {**own[-1], "leaves": own}
        return reply


async def abandoned(stage: Stage) -> tuple[Job, Back]:
    """A job that failed while two of three were away; all had signed an approval."""
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    ends = dict.fromkeys(BANKS, End())
    for n, bank in enumerate(BANKS):
        signed, leaf = party_leaf(stage, bank, job, "", n)
        await stage.submit_leaves([leaf])
        ends[bank] = End(1, signed.hash())
    document = finished_document("failed", ends["bank-a"])
    signed, leaf = party_leaf(stage, "bank-a", job, ends["bank-a"].last, 9, FINISHED, **document)
    await stage.submit_leaves([leaf])
    ends["bank-a"] = ends["bank-a"].after(signed.hash())
    close = Record(({"kind": CLOSED, "document": closed_document("failed", ends)},))
    async with stage.database.begin() as work:
        own = await work.leaves.end(job.id, SERVER)
    ledger = stage.ledger
    await stage.submit_leaves(
        pending_leaves(job.id, 99, close, ledger.origin, ledger._keys.signing, job.digest, 1, own)
    )
    job = await stage.finish(job, state=JobState.FAILED)
    return job, Back(stage, job, ends)


def telling(stage: Stage, parties: Any) -> tuple[OverdueEnds, Audit]:
    begin, ledger = stage.services.begin, stage.ledger
    asking = Asking(parties, Witnessing(ledger, partial(member_keys, begin)).cosigned)
    recosigning = Recosigning(ledger, parties, asking, lambda: 0.0)
    return OverdueEnds(begin, ledger, asking, recosigning), Audit(begin, ledger, recosigning)


async def verdict_of(stage: Stage, audit: Audit, job: Job) -> BundleVerdict:
    bundle = await audit.bundle(stage.person("bank-b", Role.AUDITOR), job.id)
    charter = await stage.services.charters.current()
    assert charter is not None
    return verify_bundle(bundle, charter.charter)


def ends_of(stage: Stage, job: Job) -> list[str]:
    leaves = [parse_leaf(entry.data).leaf for entry in stage.ledger.log]
    return [one.author for one in leaves if (one.job, one.kind) == (job.id, FINISHED)]


async def test_a_bundle_of_a_failed_job_verifies_once_its_parties_are_back(stage: Stage) -> None:
    job, parties = await abandoned(stage)
    overdue, audit = telling(stage, parties)
    before = await verdict_of(stage, audit, job)
    assert (before.status, before.failures) == ("unfinished", ())
    assert any("for bank-b, bank-c there is only the centre's word" in m for m in before.missing)
    parties.away = ()
    for party in AWAY:
        await overdue.ask_to_finish(party, [job.id])
        await overdue.ask_to_finish(party, [job.id])  # it did not hear that it was heard
    assert ends_of(stage, job) == ["bank-a", *AWAY]
    body = parties.bodies[0]
    assert (body["outcome"], body["digest"], body["model"]) == ("failed", job.digest, None)
    parties.asked.clear()
    verdict = await verdict_of(stage, audit, job)
    assert verdict.ok, (verdict.failures, verdict.missing)
    assert not parties.asked  # they cosigned as they came
    assert {end.author for end in verdict.authors if end.late} == set(AWAY)
    assert verdict.cosigners == BANKS


async def test_a_late_end_that_nobody_else_saw_takes_nothing_away(stage: Stage) -> None:
    job, parties = await abandoned(stage)
    overdue, audit = telling(stage, parties)
    parties.away = ()
    await overdue.ask_to_finish("bank-b", [job.id])
    parties.away = ("bank-a", "bank-b")
    await overdue.ask_to_finish("bank-c", [job.id])  # a head that only bank-c cosigned
    verdict = await verdict_of(stage, audit, job)
    assert len(verdict.missing) == 1  # under the head that all cosigned
    assert "for bank-c there is only" in verdict.missing[0]
    parties.away = ()
    _, later = telling(stage, parties)
    assert (await verdict_of(stage, later, job)).ok


async def test_a_late_end_of_a_scored_job_is_asked_for_with_its_scores(stage: Stage) -> None:
    """Else a party that saw the enclave would refuse an end without them, and accuse the centre."""
    job, parties = await abandoned(stage)
    signed = {"document": {"scored": True}, "signature": "c2ln"}
    for report, told in (({"contribution": signed}, signed), ({}, None)):
        job = await stage.finish(job, state=JobState.SUCCEEDED, report=report)
        overdue, _ = telling(stage, parties)
        parties.away = ()
        party = AWAY[0] if told else AWAY[1]
        end, named = parties.ends[party], scores_digest(signed) if told else ""
        document = finished_document("succeeded", end, "", named)
        parties.made[party] = [parties.sign(party, FINISHED, document, end.last)]
        await overdue.ask_to_finish(party, [job.id])
        assert parties.bodies[-1].get("contribution") == told
        assert ends_of(stage, job)[-1] == party
    other = finished_document("succeeded", parties.ends[AWAY[1]], "", "ab" * 32)
    with pytest.raises(SecureFlowError) as refused:
        await overdue._taken(
            job, 1 << 50, AWAY[1],
            read_reply(
                FinishReply, AWAY[1], "finish",
                parties.sign(AWAY[1], FINISHED, other, parties.ends[AWAY[1]].last)
                | {"cosignature": "x"},
            ),
        )  # fmt: skip
    assert refused.value.code == "leaf_forged"


async def test_only_own_jobs_that_are_over_are_told_of(stage: Stage) -> None:
    job, parties = await abandoned(stage)
    overdue, _ = telling(stage, parties)
    await stage.finish(job, state=JobState.RUNNING)
    await overdue.ask_to_finish("bank-b", [job.id, "job_unknown"])
    await stage.finish(job, state=JobState.FAILED)
    await overdue.ask_to_finish("outsider", [job.id])
    await overdue.ask_to_finish("bank-b", ["job_unknown"] * MOST + [job.id])
    assert parties.asked == []


async def test_a_silent_party_is_not_waited_for_again_and_again(stage: Stage) -> None:
    job, parties = await abandoned(stage)
    overdue, _ = telling(stage, parties)

    async def silent(request: Request) -> Any:
        parties.asked.append((request.verb, request.party))
        await overdue.ask_to_finish("bank-b", [job.id])  # asked again meanwhile: it is being told
        raise SecureFlowError("party_silent", "It said nothing.")

    parties.ask = silent  # type: ignore[method-assign]
    await overdue.ask_to_finish("bank-b", [job.id] * 50)
    assert parties.asked == [("finish", "bank-b")]


async def test_a_fault_of_the_centre_is_told_to_who_asks(stage: Stage) -> None:
    job, parties = await abandoned(stage)
    overdue, _ = telling(stage, parties)

    async def broken(request: Request) -> Any:
        raise InfrastructureError("database_busy", "It is busy.")

    parties.ask = broken  # type: ignore[method-assign]
    with pytest.raises(InfrastructureError):
        await overdue.ask_to_finish("bank-b", [job.id])


@pytest.mark.parametrize(
    "lie", ["after its end", "gap", "no end", "second end", "chain", "miscounted", "other job"]
)
async def test_what_would_break_the_story_is_not_taken(stage: Stage, lie: str) -> None:
    """A party could else have every later bundle of the job read as tampered."""
    job, parties = await abandoned(stage)
    overdue, audit = telling(stage, parties)
    parties.away = ()
    await overdue.ask_to_finish("bank-b", [job.id])
    party = "bank-c"
    end, hashed = parties.ends[party], _hash(parties)
    note = partial(parties.sign, party, "accusation", {"code": "stale_round"})
    ending = parties.finished(party, end)
    other = note(end.last)
    if lie == "after its end":
        parties.made[party] = [ending, note(hashed(ending))]
    elif lie == "gap":
        parties.made[party] = [parties.finished(party, End(2, "ab" * 32))]
    elif lie == "no end":
        parties.made[party] = [other]
    elif lie == "second end":
        parties.made[party] = [ending]
        await overdue.ask_to_finish(party, [job.id])
        parties.made[party] = [parties.finished(party, end.after(hashed(ending)))]
    elif lie == "chain":
        parties.made[party] = [note("cd" * 32), parties.finished(party, end)]
    elif lie == "miscounted":
        parties.made[party] = [other, parties.finished(party, End(9, hashed(other)))]
    else:
        foreign = Job(**{**vars(job), "id": "job_00000000000000000000"})
        parties.made[party] = [parties.sign(party, FINISHED, {}, end.last, foreign)]
    before = len(stage.ledger.log)
    await overdue.ask_to_finish(party, [job.id])
    assert len(stage.ledger.log) == before
    parties.made[party] = [ending]  # what it signs in good faith still counts
    await overdue.ask_to_finish(party, [job.id])
    assert (await verdict_of(stage, audit, job)).ok


@pytest.mark.parametrize("report", [{"model": {"digest": "0a" * 32}}, {}])
async def test_a_late_end_names_the_model_of_the_report_or_none(
    stage: Stage, report: dict[str, Any]
) -> None:
    job, parties = await abandoned(stage)
    await stage.finish(job, state=JobState.SUCCEEDED, report=report)
    overdue, _ = telling(stage, parties)
    parties.away = ()

    def ending(model: str) -> dict[str, Any]:
        end = parties.ends["bank-b"]
        return parties.sign(
            "bank-b", FINISHED, finished_document("succeeded", end, model), end.last
        )

    parties.made["bank-b"] = [ending("0b" * 32)]
    await overdue.ask_to_finish("bank-b", [job.id])
    assert "bank-b" not in ends_of(stage, job)
    parties.made["bank-b"] = [ending("0a" * 32 if report else "")]
    await overdue.ask_to_finish("bank-b", [job.id])
    assert "bank-b" in ends_of(stage, job)
    assert parties.bodies[0]["model"] == report.get("model")


def _hash(parties: Back) -> Any:
    return lambda bundle: leaf_from_json(bundle["leaf"]).hash()


async def test_what_is_asked_again_is_another_request_also_where_the_log_does_not_grow(
    stage: Stage,
) -> None:
    """A party's desk gives its last answer again under an id: a refusal outlives its cause."""
    job, parties = await abandoned(stage)
    parties.away, parties.refusing = (), BANKS
    overdue, audit = telling(stage, parties)
    for _ in range(2):
        await overdue.ask_to_finish("bank-b", [job.id])
        await audit._recosign.ask(job.id, BANKS)
    assert len(parties.asked) == 2 * (1 + len(BANKS))
    assert len(parties.ids) == len(parties.asked)
