"""Questions of data owners to a job's submitter: the centre carries them, and decides nothing.

Agents ask while a request waits there; people of the organisation that submitted the job answer.
Each question is asked once the one before is answered, and an answer is final. The ledger says that
a question was asked and answered, and by whom, not what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from secureflow.application.access import Principal, permit, require, visible_job
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.transactions import Transactions
from secureflow.domain.jobs import Job
from secureflow.domain.questions import MOST_TURNS, Question, checked_text, question_id
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Questions:
    """Takes questions and answers.

    Args:
        begin, transactions: the database, and changes with their ledger entries.
        clock: unix seconds.
    """

    def __init__(self, begin: UnitOfWorkFactory, transactions: Transactions, clock: Clock) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock

    async def ask(self, organisation: str, job: str, key: str, text: str) -> Question:
        """Take a question of a party of a job; one of the same key was taken before.

        Raises:
            SecureFlowError: `not_found` for a job that the organisation takes no part in,
                `already_finished`, `invalid_request`, `question_open`, `questions_exhausted`.
        """
        question = checked_text(text)
        async with self._transactions() as transaction:
            work = transaction.work
            found = await work.jobs.find(job)
            if found is None or not found.has_party(organisation):
                raise _no_job(job)
            await work.lock(f"questions/{job}/{organisation}")
            known = await self._of(work, job, organisation)
            same = next((one for one in known if one.key == key), None)
            if same is not None:
                return transaction.answer(same)
            if found.state.final:
                raise SecureFlowError("already_finished", Text("Job {id} is over.", id=job))
            _check_next(known, job)
            number = len(known) + 1
            asked = Question(
                *(question_id(job, organisation, number), job, organisation, number, question),
                *(key, self._clock()),
            )
            await work.questions.add(asked)
            document = {"job": job, "organisation": organisation, "number": number}
            transaction.record("question.asked", document)
            return transaction.answer(asked)

    async def answered(self, organisation: str, jobs: Sequence[str]) -> Sequence[Question]:
        """Return the answers to an organisation's questions about these jobs."""
        async with self._begin() as work:
            found = [one for job in jobs for one in await self._of(work, job, organisation)]
        return [one for one in found if one.answered is not None]

    async def list(self, principal: Principal, job: str) -> Sequence[Question]:
        """Return the questions about a job: all of them to those who submitted it.

        Others see those of their own organisation, and the operator all.

        Raises:
            SecureFlowError: `not_found`, `forbidden`, `scope_too_narrow`.
        """
        require(principal, "job.read")
        async with self._begin() as work:
            found = await visible_job(work, principal, job)
            listed = await list_readable(work.questions, job=job)
        everything = principal.operator or principal.acts_for(found.organisation)
        seen = [one for one in listed if everything or principal.acts_for(one.organisation)]
        return sorted(seen, key=lambda one: (one.organisation, one.number))

    async def answer(
        self, principal: Principal, job: str, text: str, organisation: str = ""
    ) -> Question:
        """Answer the open question of an organisation; of the only one that has one, unless named.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `already_finished`, `invalid_request`;
                `no_question` if none is open, or several are.
        """
        answer = checked_text(text)
        async with self._transactions() as transaction:
            work = transaction.work
            known = await work.jobs.find(job)
            await permit(work, principal, "job.answer", known.project if known else "")
            _check_submitted(principal, found := await visible_job(work, principal, job))
            question = await self._open(work, job, organisation)
            if found.state.final:
                raise SecureFlowError("already_finished", Text("Job {id} is over.", id=job))
            told = replace(question, answer=answer, answered=self._clock(), by=principal.user)
            await work.questions.save(told)
            document = {
                "job": job, "organisation": question.organisation, "number": question.number,
                "by": principal.user,
            }  # fmt: skip
            transaction.record("question.answered", document)
            return transaction.answer(told)

    async def _open(self, work: UnitOfWork, job: str, organisation: str) -> Question:
        listed = await list_readable(work.questions, job=job)
        waiting = [
            one for one in listed if one.answered is None and organisation in ("", one.organisation)
        ]
        if len(waiting) != 1:
            names = ", ".join(sorted(one.organisation for one in waiting))
            raise SecureFlowError(
                "no_question",
                Text("Several organisations ask about job {id}: {names}.", id=job, names=names)
                if waiting
                else Text("Nobody waits for an answer about job {id}.", id=job),
                Text("secureflow job questions {id}", id=job),
                {"organisations": sorted(one.organisation for one in waiting)},
            )
        return waiting[0]

    async def _of(self, work: UnitOfWork, job: str, organisation: str) -> Sequence[Question]:
        return await list_readable(work.questions, job=job, organisation=organisation)


def _check_next(known: Sequence[Question], job: str) -> None:
    """Refuse a question while another one is open, or one too many.

    Raises:
        SecureFlowError: `question_open`, `questions_exhausted`.
    """
    if any(one.answered is None for one in known):
        raise SecureFlowError(
            "question_open",
            Text("A question about job {id} waits for its answer.", id=job),
            "Wait for the answer, or decide without it.",
        )
    if len(known) >= MOST_TURNS:
        raise SecureFlowError(
            "questions_exhausted",
            Text("{most} questions about job {id} were asked already.", most=MOST_TURNS, id=job),
            "Decide about the request.",
        )


def _check_submitted(principal: Principal, job: Job) -> None:
    if not principal.acts_for(job.organisation):
        raise SecureFlowError(
            "forbidden",
            Text("Job {id} was submitted by another organisation.", id=job.id),
            Text("People of {organisation} answer.", organisation=job.organisation),
        )


def _no_job(job: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found", Text("There is no job {key!r:.100} that you take part in.", key=job)
    )
