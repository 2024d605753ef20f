"""Carries deliveries out: again and again until they succeed, each by one server at a time.

A server takes a delivery by moving its time ahead (the entity's version is the fence), carries it
out, and removes it. A crash in between leaves it to be taken again: at least once, always under the
same id. No receiver holds up the others: of each only a few are carried out at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from secureflow.application.listing import list_readable
from secureflow.application.notifying import Notifying
from secureflow.application.occurrences import ADMINS, Audience, Occurrence
from secureflow.application.ports.notifications import Notifier
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.deliveries import (
    FAILED_SECONDS,
    MOST_FAILED,
    MOST_TRIES,
    Channel,
    Delivery,
    pause_after,
)
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

LEASE: Final = 120
"""Seconds for which a taken delivery is left alone; a try is much shorter."""
TRY_SECONDS: Final = 60.0
LOOKED_AT: Final = 200
AT_ONCE: Final = 16
PER_TARGET: Final = 2
HOPELESS: Final = frozenset({"address_refused", "not_found", "key_unreadable", "channel_off"})
"""Codes that another try cannot change."""
DAY: Final = 86_400

_log = get_logger(__name__)


class Delivering:
    """Carries out what is due.

    Args:
        begin: starts units of work.
        notifiers: what carries out the deliveries of each channel.
        notifying: tells administrators of a webhook that fails.
        clock: unix seconds.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        notifiers: Mapping[Channel, Notifier],
        notifying: Notifying,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._notifiers = notifiers
        self._notifying = notifying
        self._clock = clock

    async def poll(self) -> None:
        """Carry out what is due now."""
        while True:
            async with self._begin() as work:
                page = await work.deliveries.list(
                    limit=LOOKED_AT, state="waiting", due=self._clock()
                )
            batch = _fair(page.items)
            if not batch:
                return
            done = await asyncio.gather(*map(self._carry, batch))
            if not any(done):
                return

    async def sweep(self) -> int:
        """Remove failed deliveries that are old, or too many for one receiver."""
        before, gone = self._clock() - FAILED_SECONDS, 0
        async with self._begin() as work:
            failed = await list_readable(work.deliveries, state="failed")
            newer: Counter[str] = Counter()
            for one in reversed(failed):
                newer[one.target] += 1
                if one.due < before or newer[one.target] > MOST_FAILED:
                    await work.deliveries.remove(one.id)
                    gone += 1
            await work.commit()
        return gone

    async def _carry(self, delivery: Delivery) -> bool:
        """Carry one out, if no other server does; tell whether this one took it."""
        if not await self._take(delivery):
            return False
        try:
            await self._deliver(delivery)
        except SecureFlowError as error:
            await self._put_back(delivery, error.code)
        else:
            async with self._begin() as work:
                await work.deliveries.remove(delivery.id)
                await work.commit()
        return True

    async def _take(self, delivery: Delivery) -> bool:
        try:
            async with self._begin() as work:
                now = await work.deliveries.find(delivery.id)
                if now != delivery:
                    return False
                await work.deliveries.save(replace(delivery, due=self._clock() + LEASE))
                await work.commit()
        except SecureFlowError as error:
            if error.code in ("stale_version", "not_found"):
                return False
            raise
        return True

    async def _deliver(self, delivery: Delivery) -> None:
        notifier = self._notifiers.get(delivery.channel)
        if notifier is None:
            raise SecureFlowError("channel_off", "This channel is not configured.")
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await notifier.deliver(delivery)
        except TimeoutError:
            raise SecureFlowError("delivery_failed", "The receiver took too long.") from None

    async def _put_back(self, delivery: Delivery, code: str) -> None:
        tries = delivery.tries + 1
        failed = tries >= MOST_TRIES or code in HOPELESS
        later = replace(
            delivery,
            tries=tries,
            code=code,
            due=self._clock() + (0 if failed else pause_after(tries)),
            state="failed" if failed else "waiting",
        )
        async with self._begin() as work:
            if await work.deliveries.find(delivery.id) is None:
                return  # its webhook was removed meanwhile
            await work.deliveries.save(later)
            await work.commit()
        level = _log.warning if failed else _log.info
        level("delivery_failed", id=delivery.id, channel=delivery.channel, code=code, tries=tries)
        if failed and delivery.channel == "webhook":
            await self._notifying.tell(lambda work: self._failing(work, later))

    async def _failing(self, work: UnitOfWork, delivery: Delivery) -> Sequence[Occurrence]:
        """Tell the administrators of a webhook's organisation, once a day."""
        if await work.webhooks.find(delivery.target) is None:
            return []
        now = self._clock()
        facts = {
            "webhook": delivery.target, "organisation": delivery.organisation,
            "code": delivery.code,
        }  # fmt: skip
        event = f"webhook_failed/{delivery.target}/{now // DAY}"
        whom = Audience((delivery.organisation,), ADMINS)
        return [Occurrence(event, "webhook_failed", now, facts, whom)]


def _fair(due: Sequence[Delivery]) -> list[Delivery]:
    """Return some of what is due, of each receiver the oldest few."""
    taken: Counter[str] = Counter()
    batch: list[Delivery] = []
    for one in due:
        if taken[one.target] < PER_TARGET and len(batch) < AT_ONCE:
            taken[one.target] += 1
            batch.append(one)
    return batch
