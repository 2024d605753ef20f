"""Whether owners' grants still let a job start its next part: a step, a point or a run.

A plain job meets the same rule when it is submitted (`column_not_granted`). A part begins long
after its whole was, on an approval that its owner may have taken the ground from since. Agents
decide by their own copies, and stop what runs within half a minute; the centre does not start on
data whose grant it shows as revoked. It is asked in the transaction that would propose the part, so
a part exists or it does not, and the journal has the outcome: a replay asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.datasets import Dataset, Grant, granted_columns
from secureflow.domain.jobs import Job
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


async def revoked_for(
    unit: UnitOfWork, part: Job, columns: Callable[[Job, str], Sequence[str]], now: int
) -> SecureFlowError | None:
    """Return why a part must not begin: `grant_revoked`, naming owner and dataset; None if it may.

    A grant that has only expired is left to the agents, as before.

    Args:
        unit: the transaction.
        part: the job that would begin.
        columns: the columns that a job reads of a party.
        now: unix seconds.
    """
    for line in part.spec.get("roster", ()):
        party, name = str(line["party"]), str(line.get("dataset", ""))
        for dataset in await list_readable(unit.datasets, organisation=party, name=name):
            grants = await list_readable(unit.grants, project=part.project, dataset=dataset.id)
            if _revoked(grants, columns(part, party), str(part.spec.get("purpose", "")), now):
                return _error(party, dataset, part)
    return None


def _revoked(grants: Sequence[Grant], columns: Sequence[str], purpose: str, now: int) -> bool:
    """Tell whether no grant in force covers the columns, and the last to end was revoked."""
    covered = granted_columns(grants, purpose, now)
    if covered is not None and covered.issuperset(columns):
        return False
    ended = [grant for grant in grants if grant.revoked is not None or grant.expires <= now]
    last = max(ended, key=_end, default=None)
    return last is not None and last.revoked is not None


def _end(grant: Grant) -> int:
    return grant.expires if grant.revoked is None else min(grant.revoked, grant.expires)


def _error(party: str, dataset: Dataset, part: Job) -> SecureFlowError:
    return SecureFlowError(
        "grant_revoked",
        Text(
            "{party} has revoked its grant of {dataset}: {part} is not started on this data.",
            party=party,
            dataset=dataset.name,
            part=part.name,
        ),
        Text("Ask a data owner of {party} for a grant, then submit a new job.", party=party),
        {"party": party, "dataset": dataset.id},
    )
