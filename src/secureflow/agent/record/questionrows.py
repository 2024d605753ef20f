"""Questions of people here to a job's submitter, and the answers.

Part of `store.RecordStore`, with its rules: writers require an open transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.agent.record.bundlerows import BundleRows
from secureflow.agent.record.records import RowRecord


@dataclass(frozen=True)
class KeptQuestion(RowRecord):
    """A question about a job that waits for a person here.

    Args:
        key: random, by which the centre knows it.
        job, item: about which, and the request that waited then.
        question: its text.
        person: who asked; empty without accounts.
        asked: unix seconds.
        told: 1 once the centre has it.
        answer: its text, as the centre told it.
        by: who answered, as the centre told it.
        answered: unix seconds; None while there is none.
    """

    key: str
    job: str
    item: str
    question: str
    person: str
    asked: int
    told: int = 0
    answer: str = ""
    by: str = ""
    answered: int | None = None


class QuestionRows(BundleRows):
    """Reads and writes those rows."""

    def questions(self, job: str) -> list[KeptQuestion]:
        """Return the questions about a job, in the order in which they were asked."""
        rows = self._all("SELECT * FROM questions WHERE job = ? ORDER BY number", job)
        return [KeptQuestion.from_row(row) for row in rows]

    def open_questions(self, most: int) -> list[KeptQuestion]:
        """Return questions without an answer about requests that still wait, oldest first."""
        rows = self._all(
            "SELECT q.* FROM questions q WHERE q.answered IS NULL AND EXISTS "
            "(SELECT 1 FROM inbox i WHERE i.job = q.job AND i.state = 'waiting') "
            "ORDER BY q.number LIMIT ?",
            most,
        )
        return [KeptQuestion.from_row(row) for row in rows]

    def add_question(self, question: KeptQuestion) -> None:
        """Insert a question."""
        self._insert("questions", question.row())

    def keep_question(self, question: KeptQuestion) -> None:
        """Store what the centre was told, and the answer."""
        row = question.row()
        self._write(
            "UPDATE questions SET told = ?, answer = ?, by = ?, answered = ? WHERE key = ?",
            *(row[name] for name in ("told", "answer", "by", "answered", "key")),
        )
