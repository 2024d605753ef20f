"""Code bundles: uploaded to a project by those who may submit jobs, read by its members.

What is stored is the packing, by its digest, after it was parsed: the store holds no other bytes.
One digest can be in several projects; each keeps it while an unfinished job there names it, and for
`KEPT_SECONDS` after that and after its upload (`keeping`). The last project's row that goes takes
the bytes with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from secureflow.application.access import (
    Principal,
    active_project,
    missing,
    permit,
    require,
    sees_work_of,
)
from secureflow.application.intake import Intake
from secureflow.application.keeping import (
    Keeping,
    UploadKind,
    blob_lock,
    kept_for_job,
)
from secureflow.application.listing import list_readable
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transactions
from secureflow.domain.bundles import KEPT_SECONDS, KeptBundle, StoredBundle, bundle_id
from secureflow.domain.specs.bundles import brought
from secureflow.engines.bundles import MAX_BYTES, unpack
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Bundles:
    """Use cases around bundles.

    Args:
        begin: starts units of work.
        transactions: opens transactions.
        store: where what people upload is; the packings are in it.
        clock: unix seconds.
        quotas: per organisation.
        intake: counts large bodies on their way in.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        store: Artifacts,
        clock: Clock,
        quotas: Quotas,
        intake: Intake,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._store = store
        self._clock = clock
        self._quotas = quotas
        self._intake = intake
        kind = UploadKind("bundle", "bundle", lambda work: work.bundles, _code_of, KeptBundle)
        self._keeping = Keeping(kind, begin, transactions, store, clock)

    @asynccontextmanager
    async def admitted(
        self, principal: Principal, project: str, digest: str
    ) -> AsyncIterator[None]:
        """Refuse an upload before its body is read; count it while it is read in the block.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`,
                `quota_exceeded`, `rate_limited`.
        """
        async with self._begin() as work:
            await permit(work, principal, "bundle.upload", project)
        with self._intake.receiving(principal.organisation):
            async with self._begin() as work:
                await check_place(work, self._quotas, principal, project, digest)
            yield

    async def upload(
        self, principal: Principal, project: str, packed: bytes, *, digest: str, name: str = ""
    ) -> KeptBundle:
        """Keep a packed bundle in a project; the same one is kept once, from now on.

        Raises:
            SecureFlowError: as `admitted`; `bundle_refused` for anything but a packing;
                `digest_mismatch`, `quota_exceeded`.
        """
        async with self._begin() as work:
            await permit(work, principal, "bundle.upload", project)
        bundle = await asyncio.to_thread(unpack, packed)
        if bundle.digest != digest:
            raise SecureFlowError(
                "digest_mismatch",
                Text(
                    "The bytes have digest {digest}, expected {expect}.",
                    digest=bundle.digest,
                    expect=digest[:64],
                ),
                "They were altered or cut off on the way: send them again.",
            )
        now = self._clock()
        async with self._transactions() as transaction:
            work = transaction.work
            await work.lock(blob_lock(digest))
            await permit(work, principal, "bundle.upload", project)
            found = await active_project(work, principal, project)
            key = bundle_id(found.id, digest)
            known = await work.bundles.find(key)
            if known is None:  # before its bytes are: what is refused leaves nothing
                await self._quotas.another_bundle(work, principal.organisation)
            await self._store.put(_once(packed), limit=MAX_BYTES, expect=digest)
            if known is not None:
                known = await self._keeping.kept_longer(work, known, now)
                return transaction.answer(await self._keeping.told_one(work, known))
            sizes = (len(packed), len(bundle.files), bundle.lines)
            stored = StoredBundle(
                key, found.id, digest, principal.organisation, principal.name, name, *sizes, now,
                now + KEPT_SECONDS,
            )  # fmt: skip
            await work.bundles.add(stored)
            facts = {"bundle": digest, "project": found.id, "by": principal.user}
            transaction.record("bundle.uploaded", {**facts, "organisation": stored.organisation})
            return transaction.answer(await self._keeping.told_one(work, stored))

    async def get(self, principal: Principal, digest: str) -> KeptBundle:
        """Return a bundle of a project in which the caller's organisation takes part."""
        require(principal, "bundle.read")
        async with self._begin() as work:
            for one in await list_readable(work.bundles, digest=digest):
                if await sees_work_of(work, principal, one.project):
                    return await self._keeping.told_one(work, one)
        raise missing("bundle", digest)

    async def content(
        self, principal: Principal, digest: str
    ) -> tuple[KeptBundle, AsyncIterator[bytes]]:
        """Return a bundle and its packing as a stream."""
        stored = await self.get(principal, digest)
        return stored, await self._store.open(stored.digest)

    async def list(
        self, principal: Principal, *, project: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        """Return the bundles of the caller's projects, or of one of them."""
        require(principal, "bundle.read")
        return await self._keeping.page(principal, project, cursor, limit)

    async def remove(self, principal: Principal, digest: str, *, project: str = "") -> None:
        """Remove a bundle of the caller's organisation (the operator: anybody's).

        Args:
            principal: who asks.
            digest: of the bundle.
            project: from this one alone; empty: from all.

        Raises:
            SecureFlowError: `forbidden`, `not_found`; `upload_in_use` while a job of such a project
                that names it has not ended.
        """
        require(principal, "bundle.remove")
        only = {"project": project} if project else {}
        await self._keeping.remove(principal, digest, digest=digest, **only)

    async def readable_by(self, organisation: str, digest: str) -> bool:
        """Tell whether an organisation is an active member of a project that has the bundle."""
        async with self._begin() as work:
            having = {one.project for one in await list_readable(work.bundles, digest=digest)}
            if not having:
                return False
            mine = await list_readable(work.projects, active=organisation)
            return any(project.id in having for project in mine)

    async def sweep(self) -> int:
        """Remove what no job names and nobody uploaded lately; return how many there were."""
        return await self._keeping.sweep()


async def check_place(
    work: UnitOfWork, quotas: Quotas, principal: Principal, project: str, digest: str
) -> None:
    """Refuse a bundle that a caller may not upload to a project.

    Raises:
        SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`,
            `quota_exceeded`.
    """
    await permit(work, principal, "bundle.upload", project)
    found = await active_project(work, principal, project)
    if await work.bundles.find(bundle_id(found.id, digest)) is None:
        await quotas.another_bundle(work, principal.organisation)


async def named_by_job(work: UnitOfWork, project: str, digest: str) -> StoredBundle:
    """Keep a project's bundle while the job lives that names it (in the job's transaction).

    Raises:
        SecureFlowError: `not_found` if it was not uploaded to the project, or has expired.
    """
    await work.lock(blob_lock(digest))
    found = await work.bundles.find(bundle_id(project, digest))
    if found is None:
        raise SecureFlowError(
            "not_found",
            Text("The project has no bundle {digest}.", digest=digest[:64]),
            "Upload it first: secureflow bundle push FOLDER --project PROJECT.",
        )
    return await kept_for_job(work.bundles, found)


def _code_of(spec: Mapping[str, Any]) -> object:
    return brought(spec).get("bundle", {}).get("digest")


async def _once(packed: bytes) -> AsyncIterator[bytes]:
    yield packed
