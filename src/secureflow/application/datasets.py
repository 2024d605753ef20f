"""Datasets: descriptions that agents publish, and the grants by which owners let projects use them.

The rows stay at the agent, which checks every use again by its own rules: a grant here lets others
see the description and ask. A name keeps its id permanently, even if it was withdrawn in between,
so job files stay valid; earlier grants do not cover anything that a new description discloses in
addition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.application.access import (
    Principal,
    active_project,
    missing,
    require,
    seen_projects,
    sees_work_of,
)
from secureflow.application.listing import (
    EVERYTHING,
    Narrowing,
    list_complete,
    list_readable,
    list_with_damaged,
    narrowed,
)
from secureflow.application.membership import member_keys
from secureflow.application.ownergrants import ended, shown, told
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.ids import new_id
from secureflow.domain.schemas import ColumnConfig, PublicPrivacy
from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Column, Digest, Slug, parse
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Text

MAX_GRANT_SECONDS: Final = 5 * 366 * 86_400

_DECLARED_ONLY: Final = "Grant declared columns only."
_BUCKET: Final = re.compile(r"[<>=0-9kM-]{1,16}")


@dataclass(frozen=True)
class DatasetDescription:
    """An agent's description of a dataset: columns, row bucket, salted commitment, unit, key."""

    __pydantic_config__ = STRICT
    name: Slug
    title: Annotated[str, Field(max_length=200), ONE_LINE]
    columns: Annotated[tuple[ColumnConfig, ...], Field(min_length=1, max_length=4096)]
    rows: Annotated[str, Field(pattern=f"^{_BUCKET.pattern}$")]
    commitment: Digest
    privacy: PublicPrivacy | None = None
    key: Annotated[Column | None, UNLESS_NONE] = None


@dataclass(frozen=True)
class Published:
    """A published dataset, and the effect on its grants: unchanged, with fewer columns, ended."""

    dataset: Dataset
    kept: int = 0
    reduced: int = 0
    ended: int = 0

    @property
    def id(self) -> str:
        """The dataset's id."""
        return self.dataset.id


class Datasets:
    """Use cases around dataset descriptions and grants."""

    def __init__(
        self, begin: UnitOfWorkFactory, transactions: Transactions, clock: Clock, quotas: Quotas
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._quotas = quotas

    async def publish(self, organisation: str, body: Mapping[str, Any]) -> Published:
        """Publish a description from the organisation's agent; one of the same name is replaced.

        A withdrawn name gets its old id back, without its grants. If a column now discloses more
        (`Dataset.widened`), or is gone, the grants lose it.

        Raises:
            SecureFlowError: `invalid_dataset` naming the field; `quota_exceeded`.
        """
        description = parse(DatasetDescription, dict(body), "dataset")
        async with self._transactions() as transaction:
            await transaction.work.lock(f"datasets/{organisation}")  # a repeated one is the same
            old = await _named(transaction.work, organisation, description.name)
            dataset = Dataset(
                id=old.id if old else new_id("dst"),
                organisation=organisation,
                name=description.name,
                title=description.title or description.name,
                columns=description.columns,
                rows=description.rows,
                commitment=description.commitment,
                created=old.created if old else self._clock(),
                privacy=description.privacy,
                key=description.key,
            )
            if dataset == old:
                return await self._reduce_grants(transaction, dataset, frozenset())
            if old is None or old.removed is not None:
                await self._quotas.another_dataset(transaction.work, organisation)
            stored = transaction.work.datasets
            await (stored.save(dataset) if old else stored.add(dataset))
            lost = old.widened(dataset) if old else frozenset[str]()
            published = await self._reduce_grants(transaction, dataset, lost)
            document = {
                "dataset": dataset.id,
                "name": description.name,
                "commitment": description.commitment,
            }
            transaction.record("dataset.published", {**document, "organisation": organisation})
        return published

    async def unpublish(self, organisation: str, name: str) -> None:
        """Withdraw a description at the agent's request, if it is not withdrawn already.

        An agent whose answer was lost asks again.
        """
        async with self._transactions() as transaction:
            dataset = await _known(transaction.work, organisation, name)
            if dataset.removed is None:
                await self._remove(transaction, dataset, by="agent")

    async def uses(self, organisation: str, name: str) -> dict[str, int]:
        """Return how many `grants` a withdrawal would end, and of how many `projects`."""
        async with self._begin() as work:
            dataset = await _known(work, organisation, name)
            grants = await self._in_force(work, dataset)
        return {"grants": len(grants), "projects": len({one.project for one in grants})}

    async def get(self, principal: Principal, key: str) -> Dataset:
        """Return a dataset of the caller's organisation, or granted to one of its projects."""
        require(principal, "dataset.read")
        async with self._begin() as work:
            return await self._visible(work, principal, key)

    async def list(
        self,
        principal: Principal,
        *,
        project: str = "",
        narrowing: Narrowing = EVERYTHING,
        cursor: str = "",
        limit: int = 50,
    ) -> Page:
        """Return visible datasets: those granted to a project, or own and granted ones alike."""
        require(principal, "dataset.read")
        async with self._begin() as work:
            if principal.operator and not project:
                return await narrowed(work.datasets, narrowing, cursor, limit, state="published")
            keys = await self._granted(work, principal, project)
            if not project and principal.organisation:
                own = principal.organisation
                mine, damaged = await list_with_damaged(
                    work.datasets, organisation=own, state="published"
                )
                keys |= {*(dataset.id for dataset in mine), *damaged}
            if not keys:
                return Page([])
            return await narrowed(
                work.datasets, narrowing, cursor, limit, id=sorted(keys), state="published"
            )

    async def remove(self, principal: Principal, key: str) -> None:
        """Withdraw a description of the caller's organisation; its grants end."""
        require(principal, "dataset.remove")
        async with self._transactions() as transaction:
            dataset = await transaction.work.datasets.find(key)
            if dataset is None or not principal.acts_for(dataset.organisation) or dataset.removed:
                raise missing("dataset", key)
            await self._remove(transaction, dataset, by=principal.user)
            transaction.answer(None)

    async def grant(
        self,
        principal: Principal,
        key: str,
        *,
        project: str,
        columns: Sequence[str],
        purposes: Sequence[str],
        expires: int,
    ) -> Grant:
        """Let a project use columns of one of the caller's datasets for purposes until a time.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `unknown_column`,
                `invalid_request`.
        """
        require(principal, "grant.create")
        now = self._clock()
        async with self._transactions() as transaction:
            dataset = await transaction.work.datasets.find(key)
            if dataset is None or not principal.acts_for(dataset.organisation) or dataset.removed:
                raise missing("dataset", key)
            await active_project(transaction.work, principal, project)
            _check_grant(dataset, columns, expires, now)
            grant = Grant(
                id=new_id("grt"),
                dataset=key,
                organisation=dataset.organisation,
                project=project,
                columns=tuple(dict.fromkeys(columns)),
                purposes=tuple(dict.fromkeys(purposes)),
                granted_by=principal.user,
                created=now,
                expires=expires,
            )
            await self._quotas.another_grant(transaction.work, dataset.organisation, now)
            await transaction.work.grants.add(grant)
            transaction.record("grant.created", _grant_document(grant, principal.user))
            transaction.answer(grant)
        return grant

    async def grants(
        self, principal: Principal, *, project: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        """Return the grants of the projects that the caller sees."""
        require(principal, "grant.read")
        async with self._begin() as work:
            seen = await seen_projects(work, principal, project)
            if seen is None:
                return Page([])
            return await work.grants.list(cursor=cursor, limit=limit, **seen)

    async def revoke(self, principal: Principal, key: str) -> Grant:
        """End a grant of the caller's organisation.

        Its agent stops the jobs under it when it hears of that, if somebody confirmed it there;
        otherwise running jobs finish under the signed approvals.

        This works while the log is held: a restored centre may have forgotten the withdrawal.
        """
        require(principal, "grant.revoke")
        async with self._transactions(held=True) as transaction:
            grant = await transaction.work.grants.find(key)
            if grant is None or not principal.acts_for(grant.organisation):
                raise missing("grant", key)
            if grant.revoked is None:
                grant = replace(grant, revoked=self._clock())
                await transaction.work.grants.save(grant)
                transaction.record("grant.revoked", _grant_document(grant, principal.user))
            transaction.answer(None)
        return grant

    async def take_grant(
        self, organisation: str, body: Mapping[str, JSON], signature: str
    ) -> Grant:
        """Take a grant that an owner signed at its agent; the same one again changes nothing.

        Raises:
            SecureFlowError: those of `ownergrants.told`; `quota_exceeded`, `not_a_member`.
        """
        now, keys = self._clock(), await self._keys(organisation)
        async with self._transactions() as transaction:
            grant, new = await told(transaction, organisation, keys, body, signature, now)
            if new:
                await self._quotas.another_grant(transaction.work, organisation, now)
                await _member(transaction.work, organisation, grant.project)
            document = {**_grant_document(grant, "agent"), "local": grant.local}
            transaction.record("grant.confirmed", document)
        return grant

    async def take_revocation(
        self, organisation: str, body: Mapping[str, JSON], signature: str
    ) -> None:
        """Take back a grant that its owner revoked at its agent, also while the log is held.

        Raises:
            SecureFlowError: `grant_forged`.
        """
        now, keys = self._clock(), await self._keys(organisation)
        async with self._transactions(held=True) as transaction:
            grant = await ended(transaction, organisation, keys, body, signature, now)
            if grant is not None:
                transaction.record("grant.revoked", _grant_document(grant, "agent"))

    async def grants_of(self, organisation: str) -> Sequence[dict[str, Any]]:
        """Return an organisation's grants for its agent."""
        async with self._begin() as work:
            return await shown(work, organisation)

    async def _keys(self, organisation: str) -> frozenset[str]:
        """Return an organisation's signing keys: the charter's, and those of its agents."""
        charter = (await member_keys(self._begin)).get(organisation, "")
        async with self._begin() as work:
            agents = await list_readable(work.agents, organisation=organisation)
        enrolled = (one.key for one in agents if not one.revoked)
        return frozenset({charter, *enrolled} - {""})

    async def _visible(self, work: UnitOfWork, principal: Principal, key: str) -> Dataset:
        dataset = await work.datasets.find(key)
        if dataset is None or dataset.removed is not None:
            raise missing("dataset", key)
        if principal.operator or principal.acts_for(dataset.organisation):
            return dataset
        now = self._clock()
        grants = await list_readable(work.grants, dataset=key, state="granted", unexpired=now)
        for project in {grant.project for grant in grants}:
            if await sees_work_of(work, principal, project):
                return dataset
        raise missing("dataset", key)

    async def _granted(self, work: UnitOfWork, principal: Principal, project: str) -> set[str]:
        seen = await seen_projects(work, principal, project)
        if seen is None:
            return set()
        grants = await list_readable(work.grants, state="granted", unexpired=self._clock(), **seen)
        return {grant.dataset for grant in grants}

    async def _in_force(self, work: UnitOfWork, dataset: Dataset) -> Sequence[Grant]:
        now = self._clock()
        return await list_readable(work.grants, dataset=dataset.id, state="granted", unexpired=now)

    async def _reduce_grants(
        self, transaction: Transaction, dataset: Dataset, lost: frozenset[str]
    ) -> Published:
        """Remove columns from the grants in force; one without columns left is revoked."""
        reduced = ended = 0
        grants = await self._in_force(transaction.work, dataset)
        for grant in grants:
            left = tuple(column for column in grant.columns if column not in lost)
            if left == grant.columns:
                continue
            reduced, ended = reduced + bool(left), ended + (not left)
            revoked = None if left else self._clock()
            later = replace(grant, columns=left or grant.columns, revoked=revoked)
            await transaction.work.grants.save(later)
            kind = "grant.reduced" if left else "grant.revoked"
            transaction.record(kind, _grant_document(later, "agent"))
        return Published(dataset, len(grants) - reduced - ended, reduced, ended)

    async def _remove(self, transaction: Transaction, dataset: Dataset, *, by: str) -> None:
        now = self._clock()
        await transaction.work.datasets.save(replace(dataset, removed=now))
        for grant in await list_readable(
            transaction.work.grants, dataset=dataset.id, state="granted"
        ):
            await transaction.work.grants.save(replace(grant, revoked=now))
        document = {"dataset": dataset.id, "organisation": dataset.organisation, "by": by}
        transaction.record("dataset.removed", document)


async def _named(work: UnitOfWork, organisation: str, name: str) -> Dataset | None:
    """Return the dataset of this name: the published one, else the one that was withdrawn last."""
    known = await list_complete(work.datasets, organisation=organisation, name=name)
    return max(known, key=lambda one: (one.removed is None, one.removed or 0), default=None)


async def _known(work: UnitOfWork, organisation: str, name: str) -> Dataset:
    dataset = await _named(work, organisation, name)
    if dataset is None:
        raise missing("dataset", name)
    return dataset


async def _member(work: UnitOfWork, organisation: str, project: str) -> None:
    """Refuse a grant for a project in which its owner takes no part."""
    found = await work.projects.find(project)
    if found is None or not found.has_member(organisation):
        raise missing("project", project)


def _check_grant(dataset: Dataset, columns: Sequence[str], expires: int, now: int) -> None:
    declared = dict.fromkeys(column.name for column in dataset.columns)
    unknown = [column for column in columns if column not in declared]
    if unknown:
        near = alike(unknown[0], declared)
        hint = Text("{near} may be meant.", near=some(near)) if near else _DECLARED_ONLY
        raise SecureFlowError(
            "unknown_column",
            Text(
                "The dataset {name} declares no column {unknown!r:.130}.",
                name=dataset.name,
                unknown=unknown[0],
            ),
            hint,
            {"columns": unknown[:20]},
        )
    if not now < expires <= now + MAX_GRANT_SECONDS:
        raise SecureFlowError(
            "invalid_request", "A grant must end in the future, at most five years from now."
        )


def _grant_document(grant: Grant, by: str) -> dict[str, Any]:
    return {
        "grant": grant.id,
        "dataset": grant.dataset,
        "organisation": grant.organisation,
        "project": grant.project,
        "columns": list(grant.columns),
        "purposes": list(grant.purposes),
        "expires": grant.expires,
        "by": by,
    }
