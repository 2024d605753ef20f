"""Statements about anchors are found by their kind, and by the job that they are about."""

from __future__ import annotations

from secureflow.application.access import Principal
from secureflow.application.anchorstatements import AnchorStatements
from secureflow.application.membership import CURRENT
from secureflow.domain.charter import SignedCharter
from secureflow.domain.users import Role
from secureflow.engines.anchors.entries import Entry, RegisterJob, Spend, job_digest
from secureflow.engines.anchors.statements import Statement, sign_statement
from tests.doubles import MemoryDatabase
from tests.unit.engines.ledger.test_bundle import BANKS, CHARTER

WORD = bytes(range(32))
READER = Principal("usr_1", "ana", "bank-a", frozenset({Role.AUDITOR}), "tok_1")
JOBS = ("job_0123456789abcdefghjk", "job_1123456789abcdefghjk")


def stated(entry: Entry) -> object:
    place = "evm:1337:0x5fbdb2315678afecb367f032d93f642f64180aa3"
    return sign_statement(Statement(place, entry, "kept", "ab", 7, {}, 5), BANKS["bank-a"]).json()


async def test_a_reader_finds_the_deeds_of_one_job_and_of_one_kind() -> None:
    database = MemoryDatabase()
    async with database.begin() as work:
        await work.set_setting(CURRENT, SignedCharter(CHARTER).json())
        await work.commit()
    use = AnchorStatements(database.begin, lambda: 1000)
    deeds = [RegisterJob(job_digest(JOBS[0]), WORD), Spend(WORD, job_digest(JOBS[0]), 3)]
    told = [stated(one) for one in (*deeds, RegisterJob(job_digest(JOBS[1]), WORD))]
    assert await use.take("bank-a", told) == 3

    async def kinds(**wanted: str) -> list[str]:
        found = await use.list(READER, **wanted)  # type: ignore[arg-type]
        return sorted(one.kind for one in found.items)

    assert await kinds() == ["registerJob", "registerJob", "spend"]
    assert await kinds(job=JOBS[0]) == ["registerJob", "spend"]
    assert await kinds(job=JOBS[1]) == ["registerJob"]
    assert await kinds(job="job_2123456789abcdefghjk") == []
    assert await kinds(kind="spend") == ["spend"]
    assert await kinds(kind="spend", job=JOBS[1]) == []
