"""Computation on the rows alone that matched, where a step's spec says so, whatever its kind.

Every kind of job reads rows through `Computing.prepare`. Here that is preceded by the comparison of
this party's selection with what it signed; the worker reads nothing of such a job without the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from secureflow.agent.job.context import AgentContext, Computing
from secureflow.agent.owner.matchedrows import place_selection
from secureflow.domain.schemas import DatasetConfig
from secureflow.kit.canonical import JSON


class SelectedRows:
    """`agent.job.context.Computing`.

    Args:
        context: the party.
        computing: what it stands before.
    """

    def __init__(self, context: AgentContext, computing: Computing) -> None:
        self._context = context
        self._computing = computing

    async def check(self, job: str, spec: Mapping[str, Any], dataset: DatasetConfig | None) -> None:
        """See `Computing.check`."""
        await self._computing.check(job, spec, dataset)

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
        keys: bytes = b"",
    ) -> dict[str, Any]:
        """See `Computing.prepare`.

        Raises:
            SecureFlowError: those of `place_selection`.
        """
        if dataset is not None and spec.get("rows") is not None:
            settings, store = self._context.settings, self._context.store
            await asyncio.to_thread(place_selection, settings, store, job, spec, commitment)
        return await self._computing.prepare(job, spec, dataset, salt, commitment, keys)

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, JSON] | None = None
    ) -> dict[str, Any]:
        """See `Computing.compute`."""
        return await self._computing.compute(job, step, arguments)

    async def close(self, job: str) -> None:
        """See `Computing.close`."""
        await self._computing.close(job)
