"""The owner's commands about policies, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.owner.decisions import Decisions
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.record.records import InboxItem
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class PolicyCommands:
    """The commands, over the parts of a running agent."""

    inbox: Inbox
    decisions: Decisions

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {"policy.explain": self.explain, "policy.suggest": self.suggest}

    async def explain(self, item: str) -> dict[str, JSON]:
        """Return what the policies of now decide about a request, and which nearly decided."""
        found = self.inbox.shown(item)
        return await asyncio.to_thread(self._explained, found)

    def _explained(self, found: InboxItem) -> dict[str, JSON]:
        try:
            return {"item": found.id, **self.decisions.explained(found.request)}
        except KeyError as error:
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "Request {item} was asked by an older version, and lacks {fact}.",
                    item=found.id,
                    fact=str(error),
                ),
                "The centre asks again; explain the new request.",
            ) from error

    async def suggest(self, item: str) -> dict[str, JSON]:
        """Return a policy's text that would have decided a request as people did.

        `effect` is what it decides about the very request, if it is the only policy.
        """
        found = self.inbox.shown(item)
        if found.state not in ("approved", "rejected"):
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "Request {item} was not decided: it is {state}.", item=item, state=found.state
                ),
                "Approve or reject it first.",
            )
        return await asyncio.to_thread(self._suggested, found)

    def _suggested(self, found: InboxItem) -> dict[str, JSON]:
        approved = self.inbox.approvals(found.id)
        two = self.inbox.two_people(found) if len(approved) > 1 else ()
        allow = found.state == "approved"
        text = self.decisions.suggestion(
            found.request, allow=allow, name=f"as-{found.job}", two="; ".join(two)
        )
        if text is None:
            raise SecureFlowError("invalid_request", "This agent's policies draft no rules.")
        return {"item": found.id, "state": found.state, "policy": text}
