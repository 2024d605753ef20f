"""Questions to a job's submitter while its request waits here, and the answers.

The request stays open, within its time: a question changes nothing of it. The centre carries both,
and could forge either: an answer is told as the centre's word, is kept as it came first, and says
nothing to the agent itself. Texts are bounded, and nothing in them is hidden.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from secureflow.agent.owner.acting import acting
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.record.questionrows import KeptQuestion
from secureflow.agent.record.store import RecordStore
from secureflow.domain.questions import LONGEST, MOST_TURNS, checked_text
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_MOST: Final = 500
"""Answers of the centre that are looked at: of each job it tells all."""
_LONGEST_NAME: Final = 64
"""Characters of who answered, as the centre names it."""


class OwnQuestions:
    """Asks, and keeps the answers.

    Args:
        store: the agent's record.
        inbox: of the requests that wait.
        clock: unix seconds.
    """

    def __init__(self, store: RecordStore, inbox: Inbox, clock: Clock) -> None:
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self.asked = asyncio.Event()
        """Set when there is a question to tell (on the event loop)."""

    def ask(self, item: str, text: JSON) -> KeptQuestion:
        """Keep a question about a request that waits; it is told to the centre.

        Raises:
            SecureFlowError: `invalid_request`, `not_found`, `already_decided`, `expired`,
                `inbox_item_changed`, `session_ended`; `question_open` while one is unanswered,
                `questions_exhausted`.
        """
        question, actor = checked_text(text), acting()
        with self._store.transaction():
            found = self._inbox.still_waiting(item)
            known = self._store.questions(found.job)
            if any(one.answered is None for one in known):
                raise SecureFlowError(
                    "question_open",
                    Text("A question about job {id} waits for its answer.", id=found.job),
                    "Wait for the answer, or decide without it.",
                )
            if len(known) >= MOST_TURNS:
                raise SecureFlowError(
                    "questions_exhausted",
                    Text(
                        "{most} questions about job {id} were asked already.",
                        most=MOST_TURNS,
                        id=found.job,
                    ),
                    "Decide about the request.",
                )
            now = self._clock()
            asked = KeptQuestion(
                *(secrets.token_hex(16), found.job, found.id, question, actor.person, now)
            )
            self._store.add_question(asked)
            facts = {"item": found.id, "number": len(known) + 1, **actor.facts()}
            self._store.note(now, "inbox.asked", found.job, **facts)
        return asked

    def keep_told(self, question: KeptQuestion) -> None:
        """Keep that the centre has a question."""
        with self._store.transaction():
            self._store.keep_question(replace(question, told=1))

    def keep_answers(self, asked: Sequence[KeptQuestion], told: JSON) -> int:
        """Keep the answers among what the centre tells, each once; return how many are new.

        What answers no open question, or is no plain text of bounded length, is none.
        """
        waiting, found = {one.key: one for one in asked}, 0
        for value in told[:_MOST] if isinstance(told, list) else []:
            one = waiting.pop(_text(value, "key"), None) if isinstance(value, dict) else None
            if one is None or not (answer := _answer(value.get("text"))):
                continue
            by, now = shown(_text(value, "by"))[:_LONGEST_NAME], self._clock()
            with self._store.transaction():
                self._store.keep_question(replace(one, told=1, answer=answer, by=by, answered=now))
                self._store.note(now, "inbox.answered", one.job, item=one.item)
            found += 1
        return found

    def told(self, job: str, names: Mapping[str, str]) -> list[dict[str, JSON]]:
        """Return the questions about a job, and the answers, for people."""
        return [
            {
                "question": one.question,
                "person": names.get(one.person, one.person),
                "asked": one.asked,
                "told": bool(one.told),
                "answer": one.answer,
                "by": one.by,
                "answered": one.answered,
            }
            for one in self._store.questions(job)
        ]


def _answer(text: Any) -> str:
    """Return an answer as people may read it; empty if it is none."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return ""
    if len(text.encode("utf-8", "replace")) > LONGEST:
        return ""
    return shown(text.replace("\r\n", "\n").strip(), several=True)


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
