"""Questions of data owners about a job, and the submitter's answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from secureflow.domain.questions import LONGEST, Question
from secureflow.domain.texts import ONE_LINE, SEVERAL_LINES
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Key, RequestBody

router: APIRouter = router_of("jobs", OnceRoute, f"{PREFIX}/jobs")


class JobQuestion(BaseModel):
    """A question of a data owner about a job, and its answer."""

    job: str = Field(examples=["job_01jf2k"])
    organisation: str = Field(description="Who asks", examples=["bank-b"])
    number: int = Field(description="From 1, of this organisation about this job")
    question: str = Field(examples=["Why do you need the postcode?"])
    asked: int = Field(description="Unix seconds")
    answer: str = Field(description="Empty while there is none")
    answered: int | None = Field(description="Unix seconds, or null")
    by: str = Field(description="The user who answered", examples=["usr_01jf2k"])


class JobQuestions(BaseModel):
    """The questions about a job, by organisation."""

    items: list[JobQuestion]


class Answer(RequestBody):
    """The answer to a question."""

    text: Annotated[
        str, Field(min_length=1, max_length=LONGEST, examples=["To join regions."]), SEVERAL_LINES
    ]
    organisation: Annotated[
        str,
        Field(max_length=63, description="Who asked, if several do", examples=["bank-b"]),
        ONE_LINE,
    ] = ""


@router.get("/{key}/questions", summary="List a job's questions")
async def list_questions(key: Key, use: Use, caller: Caller) -> JobQuestions:
    """Return what data owners ask about a job, and the answers.

    People of the organisation that submitted it see all; others those of their own organisation.
    """
    return JobQuestions(items=[_shown(one) for one in await use.questions.list(caller, key)])


@router.post("/{key}/answers", summary="Answer a question about a job")
async def answer_question(key: Key, body: Answer, use: Use, caller: Caller) -> JobQuestion:
    """Answer the open question about a job; the request goes on waiting until its owner decides."""
    return _shown(await use.questions.answer(caller, key, body.text, body.organisation))


def _shown(one: Question) -> JobQuestion:
    return JobQuestion(
        job=one.job,
        organisation=one.organisation,
        number=one.number,
        question=one.question,
        asked=one.asked,
        answer=one.answer,
        answered=one.answered,
        by=one.by,
    )
