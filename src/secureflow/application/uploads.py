"""Uploaded weights: sent to a project by those who may submit jobs, named by its jobs as `initial`.

What people upload, weights and code bundles, is in a store of its own (`uploads`): removing it
can never remove what jobs released, even if the bytes are the same. A row is written after its
bytes, under a lock of their digest. Bytes without a row are left by a crash in between, or by an
upload that was refused at its end: `sweep` removes them after `ABANDONED_SECONDS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.application.access import (
    Principal,
    active_project,
    missing,
    require,
    seen_projects,
    sees_work_of,
)
from secureflow.application.intake import Intake
from secureflow.application.listing import list_complete, list_readable
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transactions
from secureflow.domain.bundles import FOR_EVER, KEPT_SECONDS
from secureflow.domain.jobs import JobState
from secureflow.domain.models import Upload, upload_id
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

UPLOAD_LIMIT: Final = 4 << 30
"""Most bytes of uploaded weights: 2^30 float32 values, as a spec may have at most."""
ABANDONED_SECONDS: Final = 86_400.0
"""Age from which bytes without a row are removed: the row follows its bytes within seconds."""


@dataclass(frozen=True)
class Weights:
    """Weights that a caller sends, or that a job names.

    Args:
        digest: BLAKE3 of the bytes, little-endian float32 values.
        layout: digest of the tensors that they are.
        size: their number of bytes.
    """

    digest: str
    layout: str
    size: int


class Uploads:
    """Use cases around uploaded weights.

    Args:
        begin: starts units of work.
        transactions: opens transactions.
        store: where what people upload is.
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

    async def upload(
        self, principal: Principal, project: str, weights: Weights, chunks: AsyncIterator[bytes]
    ) -> Upload:
        """Keep weights in a project; the same ones are kept once, from now on.

        Whether they are those of a job's model is checked where a spec names them, by its layout.
        Nothing is read before the caller, the project, the size and the quota are checked.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`,
                `invalid_request`, `quota_exceeded`, `rate_limited`, `too_large`,
                `digest_mismatch`, `malformed_request`.
            InfrastructureError: `disk_full`.
        """
        require(principal, "model.upload")
        with self._intake.receiving(principal.organisation, weights.size):
            await self._admit(principal, project, weights)
            stored = await self._store.put(chunks, limit=weights.size, expect=weights.digest)
            if stored.size != weights.size:
                raise SecureFlowError("malformed_request", "The body ended before it was complete.")
            return await self._keep(principal, project, weights)

    async def list(
        self, principal: Principal, *, project: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        """Return the uploads of the caller's projects, or of one of them."""
        require(principal, "model.read")
        async with self._begin() as work:
            seen = await seen_projects(work, principal, project)
            if seen is None:
                return Page([])
            return await work.uploads.list(cursor=cursor, limit=limit, **seen)

    async def remove(self, principal: Principal, key: str) -> None:
        """Remove an upload of the caller's organisation (the operator: anybody's).

        Raises:
            SecureFlowError: `forbidden`, `not_found`; `upload_in_use` while a job of the project
                that names it has not ended.
        """
        require(principal, "upload.remove")
        async with self._transactions() as transaction:
            work = transaction.work
            found = await work.uploads.find(key)
            if found is None or not await sees_work_of(work, principal, found.project):
                raise missing("upload", key)
            _check_owns(principal, found)
            await work.lock(blob_lock(found.digest))
            await _check_unused(work, found)
            await self._forget(work, found)
            facts = {"weights": found.digest, "project": found.project, "by": principal.user}
            transaction.record("weights.removed", {**facts, "organisation": found.organisation})
            transaction.answer(None)

    async def sweep(self) -> int:
        """Remove what no job names and nobody uploaded lately, and bytes that nothing names."""
        async with self._begin() as work:
            every = await list_readable(work.uploads)
        now = self._clock()
        due = [one for one in every if one.expires <= now]
        for one in due:
            async with self._begin() as work:
                await work.lock(blob_lock(one.digest))
                found = await work.uploads.find(one.id)
                if found is not None and found.expires <= now:
                    await self._forget(work, found)
                    await work.commit()
        return len(due) + await self._sweep_store()

    async def _admit(self, principal: Principal, project: str, weights: Weights) -> None:
        """Refuse an upload before its body is read."""
        async with self._begin() as work:
            found = await active_project(work, principal, project)
            _check_size(weights.size)
            if await work.uploads.find(_key(found.id, weights)) is None:
                coming = self._intake.coming(principal.organisation)
                await self._quotas.another_upload(work, principal.organisation, coming)

    async def _keep(self, principal: Principal, project: str, weights: Weights) -> Upload:
        """Write the row of bytes that are stored."""
        now = self._clock()
        async with self._transactions() as transaction:
            work = transaction.work
            await work.lock(blob_lock(weights.digest))
            found = await active_project(work, principal, project)
            await self._store.stat(weights.digest)  # the sweep of another server may be quick
            key = _key(found.id, weights)
            expires = now + KEPT_SECONDS
            known = await work.uploads.find(key)
            if known is not None:
                known = replace(known, expires=max(known.expires, expires))
                await work.uploads.save(known)
                return transaction.answer(known)
            organisation = principal.organisation
            await self._quotas.another_upload(work, organisation, weights.size)
            row = Upload(
                *(key, found.id, weights.digest, weights.layout, organisation, principal.name),
                *(weights.size, now, expires),
            )
            await work.uploads.add(row)
            facts = {"weights": row.digest, "layout": row.layout, "project": row.project}
            facts |= {"by": principal.user, "organisation": organisation}
            transaction.record("weights.uploaded", facts)
            return transaction.answer(row)

    async def _forget(self, work: UnitOfWork, one: Upload) -> None:
        """Remove a row, and the bytes if it was the last that names them; under their lock."""
        await work.uploads.remove(one.id)
        if not await names_upload(work, one.digest):
            await self._store.delete(one.digest)

    async def _sweep_store(self) -> int:
        """Remove bytes that no row names."""
        gone = 0
        for digest in await self._store.older_than(ABANDONED_SECONDS):
            async with self._begin() as work:
                if await names_upload(work, digest):
                    continue
                await work.lock(blob_lock(digest))
                if not await names_upload(work, digest):
                    await self._store.delete(digest)
                    gone += 1
        return gone


async def names_upload(work: UnitOfWork, digest: str) -> bool:
    """Tell whether a row names bytes in the store of uploads: weights or a code bundle."""
    if await work.uploads.count(digest=digest):
        return True
    return bool(await work.bundles.count(digest=digest))


def blob_lock(digest: str) -> str:
    """Return the name of the lock under which rows and bytes of this digest change."""
    return f"bundle/{digest}"


async def uploaded(work: UnitOfWork, project: str, weights: Weights) -> Upload:
    """Return a project's upload of exactly these weights.

    Raises:
        SecureFlowError: `not_found` if they were not uploaded to the project, or with another
            layout or size, or have expired.
    """
    found = await work.uploads.find(_key(project, weights))
    if found is None or found.size != weights.size:
        raise SecureFlowError(
            "not_found",
            Text("The project has no upload of the weights {digest}.", digest=weights.digest[:64]),
            "Upload them first: secureflow model upload FILE --project PROJECT.",
            {"field": "initial.model"},
        )
    return found


async def named_by_job(work: UnitOfWork, project: str, weights: Weights) -> Upload:
    """Keep a project's upload from now on, because a job names it (in the job's transaction).

    Raises:
        SecureFlowError: as `uploaded`.
    """
    await work.lock(blob_lock(weights.digest))
    found = await uploaded(work, project, weights)
    if found.expires != FOR_EVER:
        found = replace(found, expires=FOR_EVER)
        await work.uploads.save(found)
    return found


async def _check_unused(work: UnitOfWork, one: Upload) -> None:
    """Refuse to remove what a job still needs; an unreadable job may be one."""
    states = [state.value for state in JobState if not state.final]
    for job in await list_complete(work.jobs, project=one.project, state=states):
        initial: Any = job.spec.get("initial")
        if isinstance(initial, dict) and initial.get("model") == one.digest:
            raise SecureFlowError(
                "upload_in_use",
                Text("Job {job} starts from the upload {key}.", job=job.id, key=one.id),
                "Remove it once the job has ended, or cancel the job first.",
                {"job": job.id},
            )


def _check_owns(principal: Principal, one: Upload) -> None:
    if not principal.operator and not principal.acts_for(one.organisation):
        raise SecureFlowError(
            "forbidden",
            Text("{key} was uploaded by {owner}.", key=one.id, owner=one.organisation),
            Text("Ask {organisation}.", organisation=one.organisation),
        )


def _check_size(size: int) -> None:
    if size < 4 or size % 4 or size > UPLOAD_LIMIT:
        raise SecureFlowError(
            "invalid_request",
            Text(
                "Uploaded weights must be 1 to {most} float32 values; {size} bytes are not.",
                most=UPLOAD_LIMIT // 4,
                size=size,
            ),
            "Upload a safetensors file with: secureflow model upload FILE --project PROJECT.",
        )


def _key(project: str, weights: Weights) -> str:
    return upload_id(project, weights.digest, weights.layout)
