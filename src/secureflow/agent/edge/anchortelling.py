"""Tells the centre, under this member's signature, what is at places: for display and for audits.

Only what is final is told, oldest first; what the centre has it keeps once. A centre that takes
none loses nothing of it: the place has the deed, and this agent's record the receipt.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from secureflow.agent.anchorsettings import AnyPlace
from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.anchoroutbox import TOLD
from secureflow.agent.witness.headwatch import CentreLink
from secureflow.application.ports.anchoroutbox import Sent
from secureflow.domain.anchorstatements import MOST_HELD, MOST_TOLD
from secureflow.engines.anchors.statements import Statement, sign_statement
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

INTERVAL: Final = 5.0
"""Seconds between two looks at what became final, while there is a link; a place's `poll` if that
is less."""
LATER: Final = 300.0
"""Seconds after a centre took nothing: an older one does not know the message."""
_PAGE: Final = 200
_log = get_logger(__name__)


class AnchorTelling:
    """Signs and sends statements.

    Args:
        context: of the agent.
        link: to the centre.
        places: returns the places.
    """

    def __init__(
        self, context: AgentContext, link: CentreLink, places: Callable[[], Sequence[AnyPlace]]
    ) -> None:
        self._context = context
        self._link = link
        self._places = places
        self._ahead: defaultdict[str, set[int]] = defaultdict(set)
        """Numbers of entries that were told while an earlier one was still on its way."""

    async def run(self) -> None:
        """Tell what became final, until cancelled."""
        while True:
            await self._link.connected.wait()
            places = self._places()
            pause = min([INTERVAL, *(one.poll for one in places)])
            try:
                for one in places:
                    await self.tell(one.place)
            except SecureFlowError as error:
                _log.info("anchors_not_told", code=error.code, message=error.message)
                pause = LATER
            except Exception:  # noqa: BLE001  the edge of a task: it is told later
                _log.exception("anchors_not_told")
                pause = LATER
            await asyncio.sleep(pause)

    async def tell(self, place: str) -> int:
        """Tell what became final at a place since the last time; return how many statements.

        Raises:
            SecureFlowError: of the link; the centre's refusal.
        """
        found, until = await asyncio.to_thread(self._untold, place)
        for start in range(0, len(found), MOST_TOLD):
            signed = [self._statement(one) for one in found[start : start + MOST_TOLD]]
            part = [one.json() for one in signed if one.fits]
            if part:
                await self._link.call("anchor.tell", {"statements": part})
            self._ahead[place].update(one.number for one in found[start : start + MOST_TOLD])
        await asyncio.to_thread(self._told, place, until)
        return len(found)

    def _untold(self, place: str) -> tuple[list[Sent], int]:
        """Return what is final and was not told, oldest first, and up to which number that is."""
        store, told = self._context.store, self._known().get(place, 0)
        found: list[Sent] = []
        before = 0
        while len(found) < MOST_HELD:
            page = store.anchor_entries(place, ended=True, before=before, limit=_PAGE)
            found += [one for one in page if one.number > told]
            if len(page) < _PAGE or page[-1].number <= told:
                break
            before = page[-1].number
        *_, oldest = store.anchor_backlog(place)
        until = max((one.number for one in found), default=told)
        until = until if oldest is None else min(until, oldest - 1)
        final = [one for one in found if one.proven and one.number not in self._ahead[place]]
        return final[::-1], max(until, told)

    def _told(self, place: str, until: int) -> None:
        self._ahead[place] = {one for one in self._ahead[place] if one > until}
        known = self._known()
        if known.get(place) == until:
            return
        with self._context.store.transaction():
            self._context.store.set_fact(TOLD, {**known, place: until})

    def _known(self) -> dict[str, int]:
        return dict(self._context.store.fact(TOLD) or {})

    def _statement(self, one: Sent) -> Statement:
        statement = Statement(
            place=one.place,
            entry=one.entry,
            result=one.result or "known",
            transaction=one.ticket,
            block=0 if one.position is None else one.position.block,
            receipt=one.receipt,
            at=one.ended or one.at,
        )
        return sign_statement(statement, self._context.key)
