"""Uploaded weights: sent to a project by those who may submit jobs, named by its jobs as `initial`.

How long they stay, and who removes them: `keeping`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.access import Principal, active_project, permit, require
from secureflow.application.intake import Intake
from secureflow.application.keeping import (
    Keeping,
    UploadKind,
    blob_lock,
    kept_for_job,
    sweep_store,
)
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transactions
from secureflow.domain.bundles import KEPT_SECONDS
from secureflow.domain.models import KeptUpload, Upload, upload_id
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

UPLOAD_LIMIT: Final = 4 << 30
"""Most bytes of uploaded weights: 2^30 float32 values, as a spec may have at most."""


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
        kind = UploadKind("upload", "weights", lambda work: work.uploads, _initial_of, KeptUpload)
        self._keeping = Keeping(kind, begin, transactions, store, clock)

    async def upload(
        self, principal: Principal, project: str, weights: Weights, chunks: AsyncIterator[bytes]
    ) -> KeptUpload:
        """Keep weights in a project; the same ones are kept once, from now on.

        Whether they are those of a job's model is checked where a spec names them, by its layout.
        Nothing is read before the caller, the project, the size and the quota are checked.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`,
                `invalid_request`, `quota_exceeded`, `rate_limited`, `too_large`,
                `digest_mismatch`, `malformed_request`.
            InfrastructureError: `disk_full`.
        """
        async with self._begin() as work:
            await permit(work, principal, "model.upload", project)
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
        return await self._keeping.page(principal, project, cursor, limit)

    async def remove(self, principal: Principal, key: str) -> None:
        """Remove an upload of the caller's organisation (the operator: anybody's).

        Raises:
            SecureFlowError: `forbidden`, `not_found`; `upload_in_use` while a job of the project
                that names it has not ended.
        """
        require(principal, "upload.remove")
        await self._keeping.remove(principal, key, id=key)

    async def sweep(self) -> int:
        """Remove what no job names and nobody uploaded lately, and bytes that nothing names."""
        return await self._keeping.sweep() + await sweep_store(self._begin, self._store)

    async def _admit(self, principal: Principal, project: str, weights: Weights) -> None:
        """Refuse an upload before its body is read."""
        async with self._begin() as work:
            coming = self._intake.coming(principal.organisation)
            await check_place(work, self._quotas, principal, project, weights, coming)

    async def _keep(self, principal: Principal, project: str, weights: Weights) -> KeptUpload:
        """Write the row of bytes that are stored."""
        now = self._clock()
        async with self._transactions() as transaction:
            work = transaction.work
            await work.lock(blob_lock(weights.digest))
            await permit(work, principal, "model.upload", project)
            found = await active_project(work, principal, project)
            await self._store.stat(weights.digest)  # the sweep of another server may be quick
            key = _key(found.id, weights)
            known = await work.uploads.find(key)
            if known is not None:
                known = await self._keeping.kept_longer(work, known, now)
                return transaction.answer(await self._keeping.told_one(work, known))
            organisation = principal.organisation
            await self._quotas.another_upload(work, organisation, weights.size)
            row = Upload(
                *(key, found.id, weights.digest, weights.layout, organisation, principal.name),
                *(weights.size, now, now + KEPT_SECONDS),
            )
            await work.uploads.add(row)
            facts = {"weights": row.digest, "layout": row.layout, "project": row.project}
            facts |= {"by": principal.user, "organisation": organisation}
            transaction.record("weights.uploaded", facts)
            return transaction.answer(await self._keeping.told_one(work, row))


async def check_place(
    work: UnitOfWork,
    quotas: Quotas,
    principal: Principal,
    project: str,
    weights: Weights,
    coming: int,
) -> None:
    """Refuse weights that a caller may not upload to a project.

    Args:
        work: the unit of work.
        quotas: per organisation.
        principal: who would send them.
        project: where to.
        weights: which.
        coming: the bytes that the organisation sends, these included.

    Raises:
        SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`,
            `invalid_request`, `quota_exceeded`.
    """
    await permit(work, principal, "model.upload", project)
    found = await active_project(work, principal, project)
    _check_size(weights.size)
    if await work.uploads.find(_key(found.id, weights)) is None:
        await quotas.another_upload(work, principal.organisation, coming)


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
    """Keep a project's upload while the job lives that names it (in the job's transaction).

    Raises:
        SecureFlowError: as `uploaded`.
    """
    await work.lock(blob_lock(weights.digest))
    return await kept_for_job(work.uploads, await uploaded(work, project, weights))


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


def _initial_of(spec: Mapping[str, Any]) -> object:
    of = spec.get("training") or spec.get("job")  # of a sweep, of a timetable
    initial = (of if isinstance(of, Mapping) else spec).get("initial")
    return initial.get("model") if isinstance(initial, dict) else None


def _key(project: str, weights: Weights) -> str:
    return upload_id(project, weights.digest, weights.layout)
