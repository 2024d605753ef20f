"""Who takes part in a job and with what: the roster from the charter, and granted datasets.

The same for every kind of job; everything refused here would also be refused by an agent, only
later and after people were asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from secureflow.application.access import missing
from secureflow.application.jobs.kind import Wanted
from secureflow.application.listing import list_readable
from secureflow.application.membership import CURRENT
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.datasets import Dataset, Grant, granted_columns
from secureflow.domain.quorum import floor_of, quorum_of
from secureflow.domain.specs.base import JobSpec, dump
from secureflow.domain.specs.contributors import two_sum
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import some
from secureflow.kit.text import Text

TWO_ALONE: Final = (
    "There are two parties: each of them can compute the other's contribution, which is "
    "the sum minus its own. Each owner's own settings must accept that for this dataset "
    "and this partner (consent.two_party), or its agent refuses the job."
)
"""The note on a job that agents refuse unless their owners have said otherwise."""


async def adopted_charter(work: UnitOfWork) -> Charter:
    """Return the charter that gives the roster its keys.

    Raises:
        SecureFlowError: `charter_missing`.
    """
    stored = await work.setting(CURRENT)
    if stored is None:
        raise SecureFlowError(
            "charter_missing",
            "There is no adopted charter, so no contributor's key is known.",
            "The operator proposes one, and every member signs it: secureflow charter draft.",
        )
    return SignedCharter.from_json(stored).charter


def contributors_floor(
    contributors: Sequence[str], parts: Mapping[str, Any], *, everybody: bool = False
) -> dict[str, Any]:
    """Return `min_contributors` of a request: as given, else three, or both of two.

    Args:
        contributors: the organisations.
        parts: the request's.
        everybody: whether all of them are the default: of kinds that open several sums of the same
            rows, where one is missing only under differential privacy.

    Raises:
        SecureFlowError: `contradictory_spec` for a single party, or fewer than three of more than
            two.
    """
    count, asked = len(set(contributors)), parts.get("min_contributors")
    floor = floor_of(count)
    if count < 2 or (isinstance(asked, int) and asked < floor):
        name = "datasets" if count < 2 else "min_contributors"
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "{name}: a sum of fewer than three parties shows each party the others' data.",
                name=name,
            ),
            "Use datasets of at least three organisations."
            if count < 3
            else "Leave min_contributors out, or write 3 at least.",
            {"field": name},
        )
    if asked is None:
        asked = count if everybody and parts.get("privacy") is None else floor
    return {"min_contributors": asked}


def dropout_notes(spec: JobSpec) -> Iterator[str]:
    """Yield a note if no party of a job's rounds may be missing."""
    if spare_parties(spec) == 0:
        yield Text(
            "A round needs all {count} contributors: it does not survive a dropout.",
            count=len(spec.roster),
        )


def two_party_notes(spec: JobSpec) -> Iterator[str]:
    """Yield notes on what a job of two parties means for both."""
    if two_sum(spec):
        yield TWO_ALONE
    elif len(spec.roster) == 2:
        yield (
            "There are two parties: each of them sees the other's contribution with its noise, "
            "which is the sum minus its own. Differential privacy bounds what that reveals."
        )


async def granted_datasets(
    work: UnitOfWork, project: str, keys: Sequence[str]
) -> dict[str, Dataset]:
    """Return organisation → dataset; datasets never granted to the project do not exist for it."""
    granted = {g.dataset for g in await list_readable(work.grants, project=project, dataset=keys)}
    chosen: dict[str, Dataset] = {}
    for key in keys:
        dataset = await work.datasets.find(key)
        if dataset is None or dataset.removed is not None or key not in granted:
            raise missing("dataset", key)
        if dataset.organisation in chosen:
            raise SecureFlowError(
                "contradictory_spec",
                Text(
                    "datasets: {organisation} is listed with two datasets.",
                    organisation=dataset.organisation,
                ),
                "Name one dataset for each contributor.",
                {"field": "datasets"},
            )
        chosen[dataset.organisation] = dataset
    return dict(sorted(chosen.items()))


def spec_head(
    wanted: Wanted,
    submitter: str,
    chosen: Mapping[str, Dataset | None],
    members: Mapping[str, str],
) -> dict[str, JSON]:
    """Return the parts of a spec that every kind of job has, whoever takes part in it.

    Args:
        wanted: the request.
        submitter: whose it is.
        chosen: party → its dataset.
        members: party → its key, as the charter has it.

    Raises:
        SecureFlowError: `charter_mismatch`.
    """
    return {
        "project": wanted.project,
        "name": wanted.name,
        "purpose": wanted.purpose,
        "submitter": submitter,
        "roster": list(roster_lines(chosen, members)),
        **({} if wanted.rows is None else {"rows": dump(wanted.rows)}),
    }


def roster_lines(
    chosen: Mapping[str, Dataset | None], members: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """Yield the spec's roster: party, key, and the dataset's name at its owner.

    Raises:
        SecureFlowError: `charter_mismatch`.
    """
    for party, dataset in sorted(chosen.items()):
        if party not in members:
            raise SecureFlowError(
                "charter_mismatch",
                Text("{party} is not in the adopted charter.", party=party),
                "The operator proposes a charter with it, and the members sign.",
                {"party": party},
            )
        name = dataset.name if dataset else ""
        yield {"party": party, "key": members[party], "dataset": name}


async def check_grants(
    work: UnitOfWork, spec: JobSpec, chosen: Mapping[str, Dataset], now: int
) -> None:
    """Refuse columns and purposes that are not covered by owners' grants in force.

    Raises:
        SecureFlowError: `column_not_granted` naming the party.
    """
    for party, dataset in chosen.items():
        columns = spec.columns_of(party)
        every = await list_readable(work.grants, project=spec.project, dataset=dataset.id)
        covered = granted_columns(every, spec.purpose, now)
        lacking = [column for column in columns if column not in (covered or ())]
        if covered is None or lacking:
            what = (
                Text("purpose {purpose!r}", purpose=spec.purpose)
                if covered is None
                else Text("the columns {lacking}", lacking=", ".join(lacking))
            )
            raise SecureFlowError(
                "column_not_granted",
                Text(
                    "{party} has not granted {what} of {name} to this project.",
                    party=party,
                    what=what,
                    name=dataset.name,
                ),
                Text(
                    "Ask a data owner of {party} for a grant, or leave it out. It has granted: "
                    "{granted}.",
                    party=party,
                    granted=_purposes(every, now) if covered is None else some(sorted(covered)),
                ),
                {"party": party, "dataset": dataset.id, "columns": lacking},
            )


def _purposes(grants: Sequence[Grant], now: int) -> str:
    """Return the purposes for which grants hold now, each with the grant."""
    named = sorted(
        f"{one} ({grant.id})"
        for grant in grants
        for one in grant.purposes
        if grant.allows((), one, now)
    )
    return some(named) or "–"


async def purpose_notes(work: UnitOfWork, wanted: Wanted, spec: JobSpec, now: int) -> list[str]:
    """Return notes on grants for any purpose, where the job's is not what its project is for.

    Nobody but the owners compares these.
    """
    project = await work.projects.find(wanted.project)
    if project is None or project.purpose == spec.purpose:
        return []
    grants = await list_readable(work.grants, project=wanted.project, dataset=wanted.datasets)
    return [
        Text(
            "The project is for {project!r}, and this job for {purpose!r}: the grant {grant} of "
            "{party} names no purpose, so only its owners can tell whether they allow this one.",
            project=project.purpose,
            purpose=spec.purpose,
            grant=grant.id,
            party=grant.organisation,
        )
        for grant in sorted(grants, key=lambda one: (one.organisation, one.id))
        if grant.allows((), spec.purpose, now) and not grant.purposes
    ]


def spare_parties(spec: JobSpec) -> int:
    """Return how many contributors may drop out of a round."""
    return len(spec.roster) - max(quorum_of(len(spec.roster)), spec.min_contributors)
