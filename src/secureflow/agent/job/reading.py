"""Reading rows with differential privacy: charged before the first one, and silent on failure.

Everything that can be refused without rows is refused before `paid_reading`, and is free. What
happens inside is charged from its start: whether it fails can be observed, and a failure that cost
nothing could be provoked repeatedly. So

- "(job, round, stage) is about to read rows" is durable, with its charge, before the first row;
- it is written once, whatever is repeated, killed or forged: only rounds of the approved plan are
  read for, each from one model, so that nobody can spend more of an owner's ε than the owner itself
  signed for;
- a failure inside has the same message whatever the cause, which is only in this agent's own log.

Two causes pass, and both are found here, not believed: a file that is not the published one, which
is read again, and a fault of this agent's own disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from secureflow.adapters.datasources import changed
from secureflow.agent.job.context import AgentContext, Computing
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.base import JobSpec
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_log = get_logger(__name__)


@asynccontextmanager
async def paid_reading(
    context: AgentContext, job: JobRecord, spec: JobSpec, place: tuple[int, str], model: str
) -> AsyncIterator[None]:
    """Charge a private job for reading rows at this (round, stage) from this model, then read.

    Jobs without differential privacy read without a charge, and report what is wrong.

    Raises:
        SecureFlowError: `budget_conflict`, `update_already_sealed` for another model at this place;
            `private_step_failed` for any failure inside other than `dataset_changed`.
        InfrastructureError: a fault of the disk; a repetition is not charged again.
    """
    if spec.privacy is None or not spec.reads_rows:
        yield
        return
    await asyncio.to_thread(context.budgets.begin_reading, job, place, model)
    try:
        yield
    except InfrastructureError:
        raise  # a full disk: the number of bytes written does not depend on the rows
    except (SecureFlowError, OSError) as error:
        code, message = type(error).__name__, str(error)
        if isinstance(error, SecureFlowError):
            code, message = error.code, error.message
        if code == "dataset_changed":
            await _check_file(context, job, spec)
        _log.error("private_step_failed", job=job.job, code=code, message=message)
        raise SecureFlowError(
            "private_step_failed",
            Text(
                "{party} could not compute its part of {job}; the reason is only in its own "
                "log. It is charged as if it had succeeded.",
                party=context.party,
                job=job.job,
            ),
            Text("Ask {party} to check its agent's log.", party=context.party),
        ) from None


class PrivateRows:
    """Reads the rows of private jobs, each job's once: they stay in its worker until it is closed.

    Args:
        context: the party.
        computing: holds the rows.
    """

    def __init__(self, context: AgentContext, computing: Computing) -> None:
        self._context = context
        self._computing = computing
        self._read: set[str] = set()

    async def read(self, job: JobRecord, spec: JobSpec) -> None:
        """Read a job's rows within `paid_reading`, unless they are read or need no payment."""
        if spec.privacy is None or job.job in self._read:
            return
        pinned = self._context.pinned(job, spec)
        await self._computing.prepare(job.job, job.spec, *self._context.reading(pinned))
        self._read.add(job.job)

    def forget(self, job: str) -> None:
        """Forget that a job's rows were read; whoever calls this closes its worker."""
        self._read.discard(job)


async def _check_file(context: AgentContext, job: JobRecord, spec: JobSpec) -> None:
    """Refuse a file that is not the published one: that does not depend on any row.

    Raises:
        SecureFlowError: `dataset_changed`.
    """
    pinned = context.pinned(job, spec)
    if pinned is None:
        return
    try:
        await asyncio.to_thread(pinned.check_file)
    except SecureFlowError:
        raise changed(pinned.dataset.name) from None


@asynccontextmanager
async def unnamed_rows(context: AgentContext, job: JobRecord) -> AsyncIterator[None]:
    """Prepare rows of a job; what does not fit leaves this agent with its column, not its row.

    A job may have chosen what fits (its classes, say), so that the number of the first row that
    does not would answer a question about single cells. The owner's own log names the row.

    Raises:
        SecureFlowError: that of the preparation.
    """
    try:
        yield
    except SecureFlowError as error:
        if error.details.get("row") is None:
            raise
        facts = {"code": error.code, "message": error.message}
        await asyncio.to_thread(_note_row, context, job.job, facts)
        raise _unnamed(context.party, error) from None


def _unnamed(party: str, error: SecureFlowError) -> SecureFlowError:
    """Return the error of a row with its column, and its step if a preparation has one."""
    facts = {k: str(error.details[k]) for k in ("column", "step") if error.details.get(k)}
    column, step = facts.get("column", ""), facts.get("step", "")
    message = Text(
        "A row of {party} does not fit the job in column {column!r}; which one, is only "
        "in its own log.",
        party=party,
        column=column,
    )
    if not column:
        message = Text(
            "A row of {party} does not fit the job; which one, is only in its own log.", party=party
        )
    if step:
        message = Text(
            "A row of {party} does not fit the step {step} in column {column!r}; which one, is "
            "only in its own log.",
            party=party,
            step=step,
            column=column,
        )
    hint = Text("Ask {party} to check its agent's log.", party=party)
    return SecureFlowError(error.code, message, hint, facts)


def _note_row(context: AgentContext, job: str, facts: dict[str, JSON]) -> None:
    with context.store.transaction():
        context.store.note(context.clock(), "job.row_refused", job, **facts)
