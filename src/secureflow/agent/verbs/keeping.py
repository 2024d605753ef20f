"""A party's half of a job whose result it keeps: write it, commit to it, and answer.

Guarantees, whenever the agent is killed:
- the result is on the disk, whole, before the leaf that commits to it is signed; until then a
  repeated request makes the same result again;
- the leaf is on record before it is sent, and there is one: a repeated request is answered from the
  record, whatever became of the file. Nothing is computed or written for it;
- its document stays here. The log has a salted commitment, which the owner can open later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import check_verb
from secureflow.agent.kinds.kind import Contributions, KeptResult
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord, OwnLeaf
from secureflow.agent.witness.witness import Observed
from secureflow.engines.run.kept import KEPT
from secureflow.engines.run.messages import KeepReply, KeepRequest
from secureflow.kit.canonical import JSON


class KeptResults:
    """Answers `keep`.

    Args:
        context: the party.
        contributions: this party's part in each kind of job.
    """

    def __init__(self, context: AgentContext, contributions: Contributions) -> None:
        self._context = context
        self._contributions = contributions

    async def keep(self, request: KeepRequest, log_proofs: JSON) -> KeepReply:
        """Compute what this party keeps, once, and return the leaf that commits to it.

        Raises:
            SecureFlowError: those of `check_approved`, `check_verb`, of the witness, and of
                `Keeping.keep`.
        """
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, request.verb)
        observed = await context.witness.observe(request.head, log_proofs)
        keeping = self._contributions.keeping(spec)
        known = context.store.leaf_of(job.job, KEPT)
        if known is None:
            late = context.witness.earlier(job.job, observed)
            result = await keeping.keep(job, spec, request)
            known = await asyncio.to_thread(self._commit, job, result, observed, late)
        else:
            await asyncio.to_thread(self._keep_head, observed)
        return KeepReply(**context.leaf_reply(known))

    def _commit(
        self, job: JobRecord, result: KeptResult, observed: Observed, late: Mapping[str, int]
    ) -> OwnLeaf:
        """The only commit: leaf, head and the owner's log, before anything is sent."""
        context = self._context
        with context.store.transaction():
            check_going(context.store.job(job.job))
            context.witness.keep(observed)
            context.store.miss_leaves(late)
            own = context.witness.leaf(KEPT, job.job, job.digest, result.document)
            context.store.note(context.clock(), "result.kept", job.job, **result.facts)
        return own

    def _keep_head(self, observed: Observed) -> None:
        with self._context.store.transaction():
            self._context.witness.keep(observed)
