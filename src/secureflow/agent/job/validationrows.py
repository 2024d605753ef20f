"""Whether held-out rows may leave for an enclave, asked again right before they are sealed.

The approval was given under a grant that lets rows leave. It may have been revoked since, and the
enclave that the rows would go to was not known then: a SIMULATED one needs the owner's own line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from secureflow.agent.job.context import AgentContext
from secureflow.agent.owner.grants import Grants
from secureflow.agent.record.records import AdmittedEnclave, JobRecord
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_HINT: Final = (
    "Its owner grants it by name: secureflow agent grant create … --validation-rows N, and for a "
    "rehearsal only --validation-simulated."
)


def check_rows_leave(context: AgentContext, job: JobRecord, rows: int, generation: int) -> None:
    """Refuse to seal rows that no grant in force lets leave to this enclave.

    Args:
        context: the party.
        job: approved.
        rows: that would leave.
        generation: of the enclave that was verified.

    Raises:
        SecureFlowError: `validation_not_granted`; `grant_forged`.
    """
    reason = _refusal(context, job, rows, context.store.admissions(job.job), generation)
    if reason:
        raise SecureFlowError(
            "validation_not_granted",
            Text(
                "{party} lets no validation rows leave for {job}: {reason}.",
                party=context.party,
                job=job.job,
                reason=reason,
            ),
            _HINT,
        )


def _refusal(
    context: AgentContext,
    job: JobRecord,
    rows: int,
    admissions: Sequence[AdmittedEnclave],
    generation: int,
) -> str:
    use = context.store.grant_use(job.job)
    kept = None if use is None else context.store.grant(use.grant)
    if kept is None:
        return "it was approved under no grant"
    grants = Grants(context.store, context.party, context.key, context.clock, lambda: "required")
    allowed = grants.terms_of(kept).validation
    if kept.state == "revoked" or grants.locked(kept.id):
        return "the grant is not in force"
    if allowed is None or rows > allowed.rows:
        return "the grant does not allow so many"
    tiers = {one.tier for one in admissions if one.generation == generation}
    if tiers == {"hardware"} or (tiers and allowed.simulated):
        return ""
    return "the enclave is SIMULATED, and the grant does not name that"
