"""Which signed ends the centre shows to parties that could not compare a step's model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from secureflow.application.ports.ledger import Ledger, LogEntry
from secureflow.application.running.partjobs import PartJobs
from secureflow.application.running.stepoutputs import StepOutputs, ends_naming
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.ledger.ends import End, finished_document
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.engines.ledger.modelends import parties_naming
from secureflow.kit.crypto import SigningKey

MODEL, SPEC, JOB = "ab" * 32, "cd" * 32, "job_0123456789"
SALT = b"\x05" * 32
PARTIES = ("bank-a", "bank-b", "bank-c", "bank-d")
KEYS = {name: SigningKey.from_seed(name.ljust(32).encode()) for name in PARTIES}
PUBLIC = {name: key.public for name, key in KEYS.items()}
ROSTER = [{"party": name, "key": key, "dataset": "d"} for name, key in PUBLIC.items()]
PART = Job(JOB, "prj_1", "bank-a", "train", "usr_1", "training", "training/2",
           {"roster": ROSTER, "part_of": {"job": "job_1", "number": 1, "step": "train"}}, SPEC,
           JobState.SUCCEEDED, 5, 6, report={})  # fmt: skip


class Log:
    """Holds ends of the part."""

    def __init__(self, **models: str) -> None:
        self.entries = [self.entry(n, one, model) for n, (one, model) in enumerate(models.items())]

    def entry(self, number: int, name: str, model: str) -> LogEntry:
        author = name.replace("_", "-")
        document = finished_document("succeeded", End(1, "12" * 32), model)
        leaf = Leaf("finished", "log.example", author, 5, commitment(SALT, document), JOB, SPEC)
        data = sign_leaf(leaf, KEYS[author]).data()
        return LogEntry(number, b"", data, JOB, "finished", author, 5, document, SALT)

    async def search(self, *, kind: str, job: str, limit: int) -> list[LogEntry]:
        assert (kind, job) == ("finished", JOB)
        return self.entries[:limit]


async def ends_of(log: Log) -> list[dict[str, Any]]:
    return await ends_naming(cast("Ledger", log), PART, MODEL)


async def test_one_more_than_may_collude_is_shown_and_convinces_who_was_away() -> None:
    log = Log(bank_a="", bank_b=MODEL, bank_c=MODEL, bank_d=MODEL)
    ends = await ends_of(log)
    assert [one["leaf"]["leaf"]["author"] for one in ends] == ["bank-b", "bank-c"]
    others = {name: key for name, key in PUBLIC.items() if name != "bank-a"}
    assert parties_naming(ends, JOB, SPEC, others, MODEL) == {"bank-b", "bank-c"}


async def test_a_party_without_an_end_was_away_too() -> None:
    assert len(await ends_of(Log(bank_b=MODEL, bank_c=MODEL))) == 2


async def test_nothing_is_shown_where_all_compared_it_or_too_few() -> None:
    assert await ends_of(Log(bank_a=MODEL, bank_b=MODEL, bank_c=MODEL, bank_d=MODEL)) == []
    assert await ends_of(Log(bank_a="", bank_b="", bank_c=MODEL, bank_d="ef" * 32)) == []


async def test_an_end_without_its_document_is_not_shown() -> None:
    log = Log(bank_b=MODEL, bank_c=MODEL, bank_d=MODEL)
    log.entries[0] = replace(log.entries[0], document=None, salt=None)
    ends = await ends_of(log)
    assert [one["leaf"]["leaf"]["author"] for one in ends] == ["bank-c", "bank-d"]


async def test_they_are_in_the_answer_of_a_part_that_gave_a_model() -> None:
    class Given(StepOutputs):
        async def of(self, unit: Any, part: Job) -> dict[str, Any]:
            del unit, part
            return {"model": MODEL, "round": 2}

    class Unit:
        async def __aenter__(self) -> Unit:
            return self

        async def __aexit__(self, *error: object) -> None:
            del error

    log: Any = Log(bank_b=MODEL, bank_c=MODEL)
    nothing: Any = None
    begin: Any = Unit
    parts = PartJobs(begin, log, nothing, nothing, nothing, nothing, Given(), nothing)
    answer: Any = await parts._outcome(PART)
    assert answer["ends"] == await ends_of(log)
    assert answer["outputs"]["model"] == MODEL
