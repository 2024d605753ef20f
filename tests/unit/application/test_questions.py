"""Questions of data owners and a submitter's answers, at the centre and through the link."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.adapters.link import PeerIdentity
from secureflow.application.occurrences import occurrences_of
from secureflow.domain.jobs import JobState
from secureflow.domain.questions import LONGEST, MOST_TURNS
from secureflow.kit.pki import SpiffeId
from secureflow.server.questionverbs import answers, ask
from tests.stage import Stage
from tests.unit.application.refusing import refused


def key(number: int) -> str:
    return f"{number:032x}"


def agent(organisation: str) -> PeerIdentity:
    return PeerIdentity(organisation, SpiffeId("test.example", "agent", organisation, "a"), "1")


async def asks(stage: Stage, text: str = "Why?", number: int = 1, by: str = "bank-b") -> None:
    body = {"job": stage.ids["job"], "key": key(number), "text": text}
    assert await ask(stage.services, agent(by), body) == {}


async def answer(stage: Stage, text: str = "Because.", to: str = "", by: str = "bank-a") -> Any:
    who = stage.scientist(by)
    return await stage.services.questions.answer(who, stage.ids["job"], text, to)


async def fetched(stage: Stage, by: str = "bank-b") -> list[dict[str, Any]]:
    found: Any = await answers(stage.services, agent(by), {"jobs": [stage.ids["job"]]})
    return list(found["answers"])


async def test_a_question_and_its_answer_go_there_and_back(stage: Stage) -> None:
    await asks(stage)
    assert await fetched(stage) == []
    told = await answer(stage, "Two\nlines")
    assert (told.organisation, told.number, told.by) == (
        *("bank-b", 1),
        stage.scientist("bank-a").user,
    )
    assert await fetched(stage) == [
        {"job": stage.ids["job"], "key": key(1), "text": "Two\nlines",
         "by": stage.scientist("bank-a").user}
    ]  # fmt: skip
    assert await fetched(stage, "bank-a") == []


async def test_the_ledger_says_that_and_who_and_not_what(stage: Stage) -> None:
    await asks(stage, "a secret question")
    await answer(stage, "a secret answer")
    await stage.ledger.caught_up()
    entries = stage.ledger.log[-2:]
    assert [one.kind for one in entries] == ["question.asked", "question.answered"]
    assert "secret" not in str([one.document for one in entries])
    async with stage.database.begin() as work:
        (found,) = await occurrences_of(work, entries[0])
        assert found.kind == "question_asked"
        people = await found.audience.people(work)
    assert [one.id for one in people] == [stage.scientist("bank-a").user]


async def test_the_same_question_again_changes_nothing(stage: Stage) -> None:
    await asks(stage)
    await asks(stage)
    await answer(stage)
    await asks(stage)  # the agent did not hear that it was taken
    listed = await stage.services.questions.list(stage.scientist("bank-a"), stage.ids["job"])
    assert [(one.number, one.answer) for one in listed] == [(1, "Because.")]


async def test_turns_are_taken_and_few(stage: Stage) -> None:
    for number in range(MOST_TURNS):
        await asks(stage, number=number)
        with refused("question_open"):
            await asks(stage, number=99)
        await answer(stage)
        with refused("no_question"):
            await answer(stage, "an answer is final")
    with refused("questions_exhausted"):
        await asks(stage, number=99)
    await asks(stage, by="bank-c")  # another organisation has its own turns


async def test_who_asked_is_named_where_several_did(stage: Stage) -> None:
    await asks(stage)
    await asks(stage, by="bank-c")
    with refused("no_question", "bank-b, bank-c"):
        await answer(stage)
    assert (await answer(stage, to="bank-c")).organisation == "bank-c"
    assert (await answer(stage)).organisation == "bank-b"


@pytest.mark.parametrize(
    "text",
    ["", " ", "x" * (LONGEST + 1), "ü" * (LONGEST // 2 + 1), "a\x1b[2J", "a\u202eb", "\ud800"],
)
async def test_texts_are_plain_and_short(stage: Stage, text: str) -> None:
    with refused("invalid_request"):
        await asks(stage, text)
    await asks(stage)
    with refused("invalid_request"):
        await answer(stage, text)


async def test_only_parties_ask_and_only_the_submitter_answers(stage: Stage) -> None:
    with refused("not_found"):
        await asks(stage, by="outsider")
    await asks(stage)
    with refused("forbidden"):
        await answer(stage, by="bank-b")
    with refused("not_found"):
        await answer(stage, by="outsider")
    with refused("forbidden"):
        owner = stage.owner("bank-a")
        await stage.services.questions.answer(owner, stage.ids["job"], "x")


async def test_who_sees_a_question(stage: Stage) -> None:
    await asks(stage)
    await asks(stage, by="bank-c")
    use, job = stage.services.questions, stage.ids["job"]
    for who, seen in (
        (stage.owner("bank-a"), ["bank-b", "bank-c"]),
        (stage.operator, ["bank-b", "bank-c"]),
        (stage.owner("bank-c"), ["bank-c"]),
    ):
        assert [one.organisation for one in await use.list(who, job)] == seen
    with refused("not_found"):
        await use.list(stage.owner("outsider"), job)


async def test_a_job_that_is_over_is_asked_about_no_more(stage: Stage) -> None:
    await asks(stage)
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    await stage.finish(job, state=JobState.CANCELLED)
    with refused("already_finished"):
        await answer(stage)
    with refused("already_finished"):
        await asks(stage, number=2, by="bank-c")


@pytest.mark.parametrize(
    "body",
    [{}, {"job": 7, "key": key(1), "text": "x"}, {"job": "job_1", "key": "x", "text": "x"},
     {"job": "job_1", "key": key(1), "text": ["x"]}],
    ids=str,
)  # fmt: skip
async def test_malformed_messages_are_refused(stage: Stage, body: dict[str, Any]) -> None:
    with refused("invalid_request"):
        await ask(stage.services, agent("bank-b"), body)
    for jobs in (None, "job_1", ["job_1"] * 101):
        with refused("invalid_request"):
            await answers(stage.services, agent("bank-b"), {"jobs": jobs})
