"""Who may cancel or resume a job: its submitter, its contributors, and the operator."""

from __future__ import annotations

from secureflow.application.access import Principal
from secureflow.domain.jobs import Job
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_steers(principal: Principal, job: Job) -> None:
    """Refuse callers who neither submitted a job, nor contribute to it, nor are the operator."""
    parties = {line["party"] for line in job.spec["roster"]} | {job.organisation}
    if not principal.operator and principal.organisation not in parties:
        raise SecureFlowError(
            "forbidden",
            Text(
                "{organisation} neither submitted {id} nor contributes to it.",
                organisation=principal.organisation,
                id=job.id,
            ),
            Text("Ask {organisation}.", organisation=job.organisation),
        )
