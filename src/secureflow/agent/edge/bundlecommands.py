"""The owner's commands about code, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.owner.bundles import OwnerBundles
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

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {"bundle.review": self.review, "bundle.list": self.approved}

    async def review(self, item: str) -> dict[str, JSON]:
        """Return the code of a request, and the code that was approved before it."""
        found = self.inbox.shown(item)
        digest = found.request.get("bundle_digest")
        if not isinstance(digest, str) or not digest:
            raise SecureFlowError(
                "not_found", "This request brings no code.", "Only jobs with a bundle do."
            )
        submitter = str(found.request.get("submitter", ""))
        name = str(found.spec.get("name", ""))
        return await asyncio.to_thread(self.bundles.review, digest, submitter, name)

    async def approved(self, limit: int = 100) -> list[dict[str, JSON]]:
        """Return the bundles that this owner approved, the last one first."""
        return [one.summary() for one in self.store.approved_bundles(min(limit, 10_000))]
