"""What an agent answers others and asks them, put together from its settings; nothing runs yet."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from secureflow.agent.job.context import AgentContext, Fetching
from secureflow.agent.keeper.anchors import Anchors
from secureflow.agent.keeper.app import Endpoint
from secureflow.agent.keeper.checkpoints import Checkpoints
from secureflow.agent.keeper.gossip import Gossip, Partner
from secureflow.agent.keeper.knownlogs import KnownLogs
from secureflow.agent.keeper.otherwitnesses import OtherWitnesses
from secureflow.agent.witness.hearing import Hearing
from secureflow.kit.boundedhttp import BoundedHttp
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

_log = get_logger(__name__)


class Witnessing:
    """The parts, over a running agent.

    Args:
        context: the agent.
        link: asks the centre for proofs.
    """

    def __init__(self, context: AgentContext, link: Fetching) -> None:
        self.port: int | None = None
        """Where it is served."""
        self._settings, self._link = context.settings.witness, link
        store, charter, witness = context.store, context.charter, context.witness
        settings = self._settings
        self.hearing = Hearing(witness, store, charter)
        self._https = {
            one.name: BoundedHttp(one.url, one.authority) for one in settings.witnesses
        } | {f"/{one}": BoundedHttp(to.url, to.authority) for one, to in settings.gossip.items()}
        partners = tuple(Partner(one, self._https[f"/{one}"]) for one in settings.gossip)
        self.gossip = Gossip(
            witness, self.hearing, charter, store, context.party, partners, context.clock
        )
        self.others = OtherWitnesses(
            settings.witnesses, self._https, witness, store, context.clock, self._call
        )
        self._checkpoints = Checkpoints(
            witness,
            store,
            charter.pinned,
            context.key,
            context.party,
            context.clock,
            settings.logs,
            context.settings.evidence,
        )
        self.anchors: Anchors | None = None
        if settings.keeper is not None:
            self.anchors = Anchors(
                context.key,
                charter.pinned,
                store,
                context.settings.directory,
                settings.keeper,
                KnownLogs(store, charter.pinned, settings.logs),
                self._heard,
                context.clock,
                time.monotonic,
            )

    def endpoints(self) -> list[Endpoint]:
        """Return what is served."""
        kept = self.anchors.endpoints() if self.anchors else []
        return [*self._checkpoints.endpoints(), *self.gossip.endpoints(), *kept]

    def background(self) -> list[Callable[[], Awaitable[Any]]]:
        """Return what runs beside."""
        started = [self.anchors.start] if self.anchors else []
        return [self.hearing.run, self.gossip.run, self.others.run, *started]

    async def close(self) -> None:
        """Close connections."""
        for one in self._https.values():
            await one.close()

    async def _call(self, kind: str, body: Any) -> JSON:
        return await self._link.call(kind, dict(body))

    async def _heard(self, note: str) -> None:
        try:
            await self.hearing.hear(note)
        except SecureFlowError as error:
            _log.error("anchored_head_refused", code=error.code, message=error.message)
