"""The owner's commands about code, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.owner.bundles import OwnerBundles
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.record.store import RecordStore
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


@dataclass(frozen=True)
class BundleCommands:
    """The commands, over the parts of a running agent."""

    inbox: Inbox
    store: RecordStore
    bundles: OwnerBundles
    environments: Environments

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {"bundle.review": self.review, "bundle.list": self.approved}

    async def review(self, item: str) -> dict[str, JSON]:
        """Return the code of a request, and the code that was approved before it.

        `environment` is the one that the request names, as `name` and `python`, or None if this
        agent does not have it. A request that was decided is compared as it was then: with what
        had been approved before it.
        """
        found = self.inbox.shown(item)
        digest = found.request.get("bundle_digest")
        if not isinstance(digest, str) or not digest:
            raise SecureFlowError(
                "not_found", "This request brings no code.", "Only jobs with a bundle do."
            )
        submitter = str(found.request.get("submitter", ""))
        name = str(found.spec.get("name", ""))
        until = None if found.state == "waiting" else found.decided_at
        told = await asyncio.to_thread(self.bundles.review, digest, submitter, name, until)
        named = str(found.request.get("environment", ""))
        return {**told, "environment": await asyncio.to_thread(self._environment, named)}

    def _environment(self, digest: str) -> dict[str, JSON] | None:
        try:
            found = self.environments.of(digest)
        except SecureFlowError as error:
            if error.code != "environment_unknown":
                raise
            return None
        return {"name": found.name, "python": found.version}

    async def approved(self, limit: int = 100) -> list[dict[str, JSON]]:
        """Return the bundles that this owner approved, the last one first."""
        return [one.summary() for one in self.store.approved_bundles(min(limit, 10_000))]
