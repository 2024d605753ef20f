"""Models: released by jobs, with their lineage, and their parameters as safetensors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from secureflow.application.access import (
    Principal,
    missing,
    require,
    seen_projects,
    sees_work_of,
    visible_job,
)
from secureflow.application.listing import EVERYTHING, Narrowing, narrowed
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import Page, UnitOfWorkFactory
from secureflow.domain.models import Model
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.tensorfile import safetensors_header
from secureflow.kit.text import Text


class Models:
    """Use cases around released models."""

    def __init__(self, begin: UnitOfWorkFactory, artifacts: Artifacts) -> None:
        self._begin = begin
        self._artifacts = artifacts

    async def get(self, principal: Principal, key: str) -> Model:
        """Return a model of a project in which the caller's organisation takes part."""
        require(principal, "model.read")
        async with self._begin() as work:
            model = await work.models.find(key)
            if model is None or not await sees_work_of(work, principal, model.project):
                raise missing("model", key)
        return model

    async def list(
        self,
        principal: Principal,
        *,
        project: str = "",
        job: str = "",
        name: str = "",
        narrowing: Narrowing = EVERYTHING,
        cursor: str = "",
        limit: int = 50,
    ) -> Page:
        """Return the models that the caller sees, optionally of one project, job or name.

        Their `card` is left empty, since it grows with the features; use `card`.
        """
        require(principal, "model.read")
        async with self._begin() as work:
            if job:
                project = project or (await visible_job(work, principal, job)).project
            seen = await seen_projects(work, principal, project)
            if seen is None:
                return Page([])
            equals = {key: value for key, value in (("job", job), ("name", name)) if value}
            page = await narrowed(work.models, narrowing, cursor, limit, **seen, **equals)
        return replace(page, items=[replace(model, card={}) for model in page.items])

    async def card(self, principal: Principal, key: str) -> dict[str, Any]:
        """Return the model card: what it is, how it was made, and its metrics."""
        model = await self.get(principal, key)
        async with self._begin() as work:
            job = await work.jobs.get(model.job)
        report = job.report or {}
        return {
            **model.card,
            "id": model.id,
            "name": model.name,
            "version": model.version,
            "family": model.family,
            "digest": model.digest,
            "job": model.job,
            "project": model.project,
            "created": model.created,
            "metrics": model.metrics,
            "metrics_errors": report.get("metrics_errors") or {},
            "privacy": report.get("privacy"),
            "kind": job.kind,
            "rounds": report.get("rounds"),
            "kept_round": report.get("kept_round"),
            "parents": list(model.parents),
            "purpose": job.spec.get("purpose", ""),
            "contributors": [line["party"] for line in job.spec.get("roster", [])],
            "features": job.spec.get("features"),
            "model": job.spec.get("model"),
            "plan": job.spec.get("plan"),
            "protection": job.spec.get("protection", ""),
            "adapts_clipping": bool((job.spec.get("privacy") or {}).get("adaptive")),
            "tee": report.get("tee", ""),
            "spec_digest": job.digest,
        }

    async def content(
        self, principal: Principal, key: str
    ) -> tuple[Model, int, AsyncIterator[bytes]]:
        """Return the model, the file's size in bytes, and the safetensors file as a stream.

        `model.digest` is the BLAKE3 of exactly the bytes after the header.

        Raises:
            SecureFlowError: `forbidden`, `not_found`.
        """
        require(principal, "model.download")
        model = await self.get(principal, key)
        stored = await self._artifacts.stat(model.artifact)
        if stored.size % 4:
            raise SecureFlowError(
                "internal", Text("The artifact of {key} is not a float32 array.", key=key)
            )
        header = safetensors_header(stored.size // 4, {"model": model.id, "digest": model.digest})

        async def stream() -> AsyncIterator[bytes]:
            yield header
            async for chunk in await self._artifacts.open(model.artifact):
                yield chunk

        return model, len(header) + stored.size, stream()
