"""Code that a job brings, at its owner: seen before it is approved, and run only as approved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from secureflow.agent.compute.bundle_workers import no_sandbox
from secureflow.agent.compute.code_logs import Whose
from secureflow.agent.owner.bundles import OwnerBundles
from secureflow.agent.owner.environments import Environments
from secureflow.domain.specs.base import JobSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class OwnerCode:
    """`agent.compute.bundle_workers.OwnerCode`, and what consent needs to know of code.

    Args:
        bundles: the owner's.
        environments: the owner's.
        confines: tells whether this agent has a sandbox that code of others may run in.
    """

    def __init__(
        self, bundles: OwnerBundles, environments: Environments, confines: Callable[[], bool]
    ) -> None:
        self._bundles = bundles
        self._environments = environments
        self._confines = confines

    async def see(self, spec: JobSpec) -> None:
        """Fetch the code of a job for whoever decides, and refuse what could never run here.

        Whether an engine that runs it is here and confined was looked at before (`EnginedKind`).

        Raises:
            SecureFlowError: `sandbox_missing`, `environment_unknown`, `environment_broken`,
                `bundle_unusable`, and those of `OwnerBundles.fetch`. Nobody is asked then.
        """
        if spec.bundle is None:
            return
        if spec.bundle.environment:
            if not self._confines():
                raise no_sandbox()
            await asyncio.to_thread(self._environments.of, spec.bundle.environment)
        bundle = await self._bundles.fetch(spec.bundle.digest)
        if not spec.bundle.environment and spec.bundle.entry not in bundle.files:
            self._bundles.sweep(spec.bundle.digest)
            raise SecureFlowError(
                "bundle_unusable",
                Text("The bundle {digest} has no file {entry}, which the job starts.",
                     digest=spec.bundle.digest, entry=spec.bundle.entry),
                "Name a file of it: secureflow bundle show FOLDER lists them.",
                {"entry": spec.bundle.entry},
            )  # fmt: skip

    def approve(self, spec: JobSpec, job: str) -> None:
        """Remember a job's code as approved, in the open transaction of the approval."""
        if spec.bundle is not None:
            self._bundles.approve(spec.bundle, spec.submitter, spec.name, job)

    def refused(self, spec: JobSpec) -> None:
        """Keep no code of a job that was refused, unless another waits for it or was approved."""
        if spec.bundle is not None:
            self._bundles.sweep(spec.bundle.digest)

    async def fetch(self, digest: str) -> None:
        """See `bundle_workers.OwnerCode.fetch`."""
        await self._bundles.fetch(digest)

    def write(self, digest: str, folder: Path) -> None:
        """See `bundle_workers.OwnerCode.write`."""
        self._bundles.write(digest, folder)

    def interpreter(self, environment: str) -> Path:
        """See `bundle_workers.OwnerCode.interpreter`."""
        return self._environments.python(self._environments.ready(environment))

    def whose(self, job: str) -> Whose:
        """See `bundle_workers.OwnerCode.whose`."""
        return self._bundles.whose(job)
