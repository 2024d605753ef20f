"""Questions of data owners about a job that waits for them, and the submitter's answers.

They travel beside the job, whose spec and script stay as they are: the request goes on waiting at
the agent that asked. A question and an answer are foreign text to whoever reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import HiddenCharacterError, lines
from secureflow.kit.text import Text

MOST_TURNS: Final = 5
"""Questions of one organisation about one job."""
LONGEST: Final = 4096
"""Bytes of a question or an answer, in UTF-8."""


@dataclass(frozen=True)
class Question:
    """A question of one organisation, and its answer.

    Args:
        id: of `question_id`.
        job: about which.
        organisation: whose people ask.
        number: from 1; each is asked once the one before is answered.
        question: its text.
        key: by which the asking agent knows it.
        asked: unix seconds.
        answer: its text; empty while there is none.
        answered: unix seconds; None while there is none.
        by: the user who answered.
    """

    id: str
    job: str
    organisation: str
    number: int
    question: str
    key: str
    asked: int
    answer: str = ""
    answered: int | None = None
    by: str = ""


def question_id(job: str, organisation: str, number: int) -> str:
    """Return the id of an organisation's question about a job."""
    return f"{job}.{organisation}.{number}"


def checked_text(text: object) -> str:
    """Return a question or an answer: some lines, of which nothing is hidden.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        raise _wrong_length()
    try:
        found = lines(text.strip())
    except HiddenCharacterError as error:
        raise SecureFlowError(
            "invalid_request", Text("The text is not plain: {reason}.", reason=str(error))
        ) from error
    if len(found.encode()) > LONGEST:
        raise _wrong_length()
    return found


def _wrong_length() -> SecureFlowError:
    return SecureFlowError(
        "invalid_request",
        Text("A question or an answer has 1 to {most} bytes of text.", most=LONGEST),
    )
