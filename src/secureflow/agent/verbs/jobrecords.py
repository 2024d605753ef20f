"""The records of jobs that a settlement pays, fetched through the centre and verified here.

A record is the job's bundle (`engines.ledger.bundle`): it counts only if it verifies under the
charter that this organisation pinned, is of the spec that it approved, and says of this
organisation what it signed itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.restored import restored
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.revenue.evidence import JobEvidence, contradiction, evidence_of
from secureflow.kit.canonical import JSON, digest, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Call = Callable[[str, dict[str, JSON]], Awaitable[JSON]]
MAX_RECORD: Final = 64 << 20
"""Characters of a record; the largest jobs have some tens of thousands of entries."""
_TRIES: Final = 3
"""A record can change while it is read: a party that was away cosigns a head."""


async def verified_records(
    context: AgentContext, call: Call, jobs: Sequence[str]
) -> list[JobEvidence]:
    """Return what the verified records of jobs say.

    Raises:
        SecureFlowError: `evidence_not_verified`; `settlement_altered` if a record contradicts what
            this organisation signed; `invalid_answer`; those of the link.
    """
    found = []
    for job in jobs:
        bundle = await _fetched(call, job)
        found.append(await asyncio.to_thread(_verified, context, job, bundle))
    return found


def _verified(context: AgentContext, job: str, bundle: Any) -> JobEvidence:
    charter, store = context.charter.pinned(), context.store
    earlier = [one for one in context.charter.versions_after(0) if one.charter != charter]
    own = store.job(job)
    spec = "" if own is None else own.digest
    evidence = evidence_of(bundle, verify_bundle(bundle, charter, spec=spec, known=earlier))
    if evidence.job != job:
        raise _altered(job, "it is of another job")
    leaves: list[Mapping[str, Any]] = [
        {"kind": one.kind, "document": one.bundle.get("document"), "place": one.place}
        for one in store.leaves(job)
    ]
    # A restored record has not all that was signed: what is missing contradicts nothing.
    whole = restored(store) is None and all(one["document"] is not None for one in leaves)
    wrong = contradiction(evidence, context.party, leaves) if whole else ""
    if wrong:
        raise _altered(job, wrong)
    return evidence


async def _fetched(call: Call, job: str) -> Any:
    for _ in range(_TRIES):
        text, named = "", ""
        while True:
            answer = await call("settlement.record", {"job": job, "offset": len(text)})
            part, whole, total = _part(answer)
            if named and whole != named:
                break  # it changed meanwhile
            named, text = whole, text + part
            if len(text) >= total:
                if digest(text) != named:
                    raise _invalid()
                return parse_json(text, MAX_RECORD)
            if not part:
                raise _invalid()
    raise SecureFlowError(
        "evidence_not_verified",
        Text("The record of job {job} changed while it was read.", job=job),
        "Try again in a moment.",
    )


def _part(answer: JSON) -> tuple[str, str, int]:
    value = answer if isinstance(answer, dict) else {}
    part, whole, total = value.get("part"), value.get("digest"), value.get("total")
    if not isinstance(part, str) or not isinstance(whole, str) or type(total) is not int:
        raise _invalid()
    if not 0 < total <= MAX_RECORD or len(part) > total:
        raise _invalid()
    return part, whole, total


def _invalid() -> SecureFlowError:
    return SecureFlowError(
        "invalid_answer",
        Text("The centre's answer {reason}.", reason="is not a part of a job's record"),
    )


def _altered(job: str, what: str) -> SecureFlowError:
    return SecureFlowError(
        "settlement_altered",
        Text(
            "The record of job {job} that the centre shows contradicts what this organisation "
            "signed itself: {what}.",
            job=job,
            what=what,
        ),
        "Nothing was signed. Keep this agent's evidence, and ask whoever runs the centre.",
        {"job": job},
    )
