"""Looks after an agent's places while it runs: who their members are, and which heads they keep.

One task per place: a place that is away delays no other, and nothing of a job waits for any. What
is wrong with a place is known until it is not: the owner sees it in `agent anchor list` and the
doctor, and is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from secureflow.agent.anchorsettings import AnyPlace
from secureflow.agent.job.context import AgentContext
from secureflow.agent.witness.anchored import AnchoredHeads
from secureflow.agent.witness.owndeeds import OwnDeeds
from secureflow.application.anchoring import internal_at
from secureflow.application.ports.anchor import Anchor
from secureflow.engines.anchors.reading import check_members
from secureflow.kit.backoff import Backoff
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

LONGEST: Final = 300.0
"""Seconds between two tries at a place that is away."""
_UNTRUSTED: Final = "anchor_untrusted"
_log = get_logger(__name__)


class AnchorWatch:
    """Judges every place, and anchors a head where one is due and no job brings it.

    Args:
        context: of the agent.
        places: each place with what opens it.
        deeds: what is anchored.
        heads: what is made of what places keep.
    """

    def __init__(
        self,
        context: AgentContext,
        places: Mapping[AnyPlace, Anchor],
        own_deeds: OwnDeeds,
        heads: AnchoredHeads,
    ) -> None:
        self._context = context
        self._places = places
        self._deeds = own_deeds
        self._heads = heads
        self.problems: dict[str, SecureFlowError] = {}
        """What is wrong with a place now, by its name in the settings."""
        self._untold: set[str] = set()
        self.looked: dict[str, int] = {}
        """When each place's members were last found in order, in unix seconds."""

    async def run(self) -> None:
        """Look at every place, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for settings, anchor in self._places.items():
                group.create_task(self._follow(settings, anchor))

    async def look(self, settings: AnyPlace, anchor: Anchor) -> None:
        """Anchor a head that is due, and judge the heads that were read at a place.

        Raises:
            SecureFlowError: `anchor_unavailable`, `anchor_refused`, `anchor_untrusted`,
                `charter_not_pinned`; of the log or the centre where heads are compared.
        """
        witness, charter = self._context.witness, self._context.charter.pinned()
        if newest := witness.newest:
            await asyncio.to_thread(self._anchor, newest)
        check_members(settings.place, await anchor.members(), charter.keys)
        self.looked[settings.name] = self._context.clock()
        await self._heads.judge(settings.place)

    async def _follow(self, settings: AnyPlace, anchor: Anchor) -> None:
        pauses = Backoff(settings.poll, max(LONGEST, settings.poll))
        while True:
            try:
                await self.look(settings, anchor)
            except SecureFlowError as error:
                await asyncio.to_thread(self._troubled, settings, error)
                await asyncio.sleep(pauses.next())
                continue
            except Exception:  # noqa: BLE001  the edge of a task: the other places go on
                _log.exception("anchor_watch_failed", place=settings.name)
                self.problems[settings.name] = internal_at(settings.name)
                await asyncio.sleep(pauses.next())
                continue
            self.problems.pop(settings.name, None)
            pauses.reset()
            await asyncio.sleep(settings.poll)

    def _anchor(self, newest: str) -> None:
        with self._context.store.transaction():
            self._deeds.head(newest)

    def _troubled(self, settings: AnyPlace, error: SecureFlowError) -> None:
        """Keep what is wrong; write it down once, until something else is."""
        before = self.problems.get(settings.name)
        if before is None or before.code != error.code:
            _log.warning(
                "anchor_trouble", place=settings.name, code=error.code, message=error.message
            )
            self._untold.discard(settings.name)
            if error.code == _UNTRUSTED:
                self._untold.add(settings.name)
        if settings.name in self._untold:
            self._tell(settings, error)
        self.problems[settings.name] = error

    def _tell(self, settings: AnyPlace, error: SecureFlowError) -> None:
        """Tell the owner; while nothing can be written, at a later look."""
        facts: dict[str, JSON] = {"place": settings.place, "message": error.message}
        try:
            with self._context.store.transaction():
                self._context.store.note(self._context.clock(), "anchor.untrusted", "", **facts)
        except SecureFlowError as fault:
            _log.warning("anchor_trouble_not_noted", place=settings.name, code=fault.code)
            return
        self._untold.discard(settings.name)
