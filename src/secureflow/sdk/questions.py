"""Questions of data owners about a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobQuestion:
    """A question of a data owner about a job, and its answer; times in unix seconds.

    `number` counts the organisation's questions about the job from 1; without an answer `answer` is
    empty and `answered` None. `by` is the user who answered.
    """

    job: str
    organisation: str = ""
    number: int = 0
    question: str = ""
    asked: int = 0
    answer: str = ""
    answered: int | None = None
    by: str = ""


@dataclass(frozen=True)
class JobQuestions:
    """The questions about a job, by organisation."""

    items: tuple[JobQuestion, ...] = ()
