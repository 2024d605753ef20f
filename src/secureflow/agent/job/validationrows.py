"""Whether held-out rows may leave for an enclave, asked again right before they are sealed.

The approval was given under a grant that lets rows leave. It may have been revoked since, and the
enclave that the rows would go to was not known then: a SIMULATED one needs the owner's own line.

Which rows leave is fixed for a grant, so that no job after another learns of further ones, and no
owner picks those that favour it: its secret draws them, of the rows that the first job under the
grant held out. A job that holds out others, or reads another version of the dataset, gets none. The
salt of the commitment follows from the same secret: two jobs that prepare the rows alike have one
commitment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from secureflow.agent.compute.derivation import derive
from secureflow.agent.job.context import AgentContext
from secureflow.agent.owner.grants import Grants
from secureflow.agent.owner.keysecret import keep_key_secret, key_secret
from secureflow.agent.record.records import AdmittedEnclave, JobRecord
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_HINT: Final = (
    "Its owner grants it by name: secureflow agent grant create … --validation-rows N, and for a "
    "rehearsal only --validation-simulated."
)

_SPLIT: Final = ("validation", "seed", "order", "draws", "split")
"""Members of a plan that decide which rows are held out."""


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
        raise _not_granted(context, job, reason)


def row_secret(context: AgentContext, job: JobRecord) -> bytes:
    """Return the 32 bytes from which draw and salt of a job's validation rows follow.

    They are the grant's, and those of the job where it was approved under none.
    """
    use = context.store.grant_use(job.job)
    if use is None:
        return job.secret
    own = key_secret(context.store, context.key)
    return derive(own, 32, "validation rows", grant=use.grant)


def fix_rows(context: AgentContext, job: JobRecord, plan: Mapping[str, JSON]) -> None:
    """Fix which rows leave under a job's grant, or refuse others than those that are fixed.

    Args:
        context: the party.
        job: approved, under a grant.
        plan: the job's.

    Raises:
        SecureFlowError: `validation_not_granted`.
    """
    use = context.store.grant_use(job.job)
    if use is None:
        raise _not_granted(context, job, "it was approved under no grant")
    held = {name: plan.get(name) for name in _SPLIT}
    found = digest({"dataset": (job.declared or {}).get("commitment"), **held})
    name = f"validation-rows/{use.grant}"
    with context.store.transaction():
        kept = context.store.fact(name)
        if kept is None:
            keep_key_secret(context.store, context.key)
            context.store.set_fact(name, found)
    if kept not in (None, found):
        reason = "its plan or its dataset holds out other rows than the first job under the grant"
        raise _not_granted(context, job, reason)


def _not_granted(context: AgentContext, job: JobRecord, reason: str) -> SecureFlowError:
    return SecureFlowError(
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
