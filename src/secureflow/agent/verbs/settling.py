"""The end of a job in the record, once: outcome, secrets, budgets, grant."""

from __future__ import annotations

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.parts import forget_parts
from secureflow.agent.owner.grants import Grants
from secureflow.agent.record.carriedbytes import forget_carried
from secureflow.agent.record.records import JobRecord
from secureflow.agent.verbs.sessions import Sessions
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger

_log = get_logger(__name__)


class Settling:
    """Ends jobs in the record.

    Args:
        context: the party.
        sessions: the state of masked sessions.
        grants: the owner's.
    """

    def __init__(self, context: AgentContext, sessions: Sessions, grants: Grants) -> None:
        self._context = context
        self._sessions = sessions
        self._grants = grants

    def settle(self, name: str, outcome: str, **facts: JSON) -> JobRecord | None:
        """End a job, once; the caller's transaction. Return it if this ended it."""
        store = self._context.store
        self._sessions.forget(name)
        store.forget_noised_sums(name)
        job = store.job(name)
        if job is None or job.outcome:
            return None  # never approved, or over: there is nothing to end
        store.finish_job(name, outcome)
        forget_parts(store, name)
        forget_carried(store, name)
        self._settle_budget(job)
        if (spent := self._spent(job)) is not None:
            facts = {**facts, "epsilon": spent}
        store.note(self._context.clock(), "job.finished", name, outcome=outcome, **facts)
        return job

    def _spent(self, job: JobRecord) -> float | None:
        """Return the ε that a settled job is charged, for the owner's record; None if unknown."""
        try:
            return self._context.budgets.kept_epsilon(job)
        except InfrastructureError:
            raise
        except SecureFlowError:
            return None

    def _settle_budget(self, job: JobRecord) -> None:
        """Charge an ended job for what it read; if that is unknown, its whole charge remains.

        The job ends anyway: the cause may be permanent, and no end would ever be signed.
        """
        context = self._context
        steps = self._charge, context.probing.settle, self._settle_grant
        for settle in steps:
            try:
                settle(job)
            except InfrastructureError:
                raise
            except SecureFlowError as error:
                facts = {"code": error.code, "message": error.message}
                _log.warning("budget_not_settled", job=job.job, **facts)
                context.store.note(context.clock(), "budget.not_settled", job.job, **facts)

    def _charge(self, job: JobRecord) -> None:
        """Settle the budget, and anchor what the job let its domain's spending grow by."""
        self._context.budgets.settle(job)
        committed = self._context.budgets.committed(job)
        if committed is not None:
            limit, spent = committed
            self._context.own_deeds.spent(job.job, limit.domain, limit.epsilon, spent)

    def _settle_grant(self, job: JobRecord) -> None:
        """Keep of the grant's ε what the budget keeps; its use stays."""
        if self._context.store.grant_use(job.job) is None:
            return
        spent, timetable = self._context.budgets.kept_epsilon(job), "timetable" in job.spec
        self._grants.settle(job.job, spent, timetable=timetable)
