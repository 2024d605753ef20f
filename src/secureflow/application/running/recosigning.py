"""Missing cosignatures of a job's end, requested again when someone wants its bundle.

A party that was slow or away when the job ended may be back. Any later head covers the end as well,
so the newest one is used; a party that misses entries of its own keeps refusing.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence
from typing import Final

from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.running.asking import Asking
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.run.messages import CosignRequest, as_body
from secureflow.engines.script import Ask
from secureflow.kit.clock import Ticks
from secureflow.kit.errors import SecureFlowError

PATIENCE: Final = 5.0
"""Seconds that a party may take; the caller of the bundle waits as long."""
AGAIN: Final = 10.0
"""Seconds before a job's parties are asked again: anyone who sees it may request its bundle."""
MOST: Final = 1000
"""Maximum number of remembered jobs."""
_FIRST_SEQ: Final = 1 << 40
"""Effects of the job's own script have smaller numbers."""


class Recosigning:
    """Asks parties for a cosignature over the newest head.

    Args:
        ledger: the log.
        courier: knows who is connected.
        asking: asks them, and stores their cosignatures.
        ticks: monotonic seconds.
    """

    def __init__(
        self, ledger: Ledger, courier: Courier, asking: Asking, ticks: Ticks = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._courier = courier
        self._asking = asking
        self._ticks = ticks
        self._asked: dict[str, float] = {}

    async def __call__(self, job: str, parties: Sequence[str]) -> None:
        """Ask those of the parties that are connected, unless they were asked recently."""
        now = self._ticks()
        if now - self._asked.get(job, -AGAIN) >= AGAIN and await self.ask(job, parties):
            if len(self._asked) >= MOST:
                self._asked.clear()
            self._asked[job] = now

    async def ask(self, job: str, parties: Sequence[str]) -> bool:
        """Ask the connected ones of the parties, for a bounded time; tell whether any are."""
        there = tuple(one for one in parties if self._courier.status(one).connected)
        if not there:
            return False
        note = await self._ledger.head()
        request = CosignRequest(job=job, head=head_only(note))
        ask = Ask(there, request.verb, as_body(request), need=0, patience=PATIENCE)
        with contextlib.suppress(SecureFlowError):  # the bundle reports missing cosignatures
            await self._asking.perform(job, fresh_number(_FIRST_SEQ), ask, asyncio.Event())
        return True


def fresh_number(first: int) -> int:
    """Return a fresh number for a repeated request.

    A party repeats its answer to a number, even a refusal, whatever has changed since.
    """
    return first + secrets.randbelow(_FIRST_SEQ)
