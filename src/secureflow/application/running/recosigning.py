"""Cosignatures that a job's end lacks, asked for again when somebody wants its bundle.

Whoever was slow or away when the job ended may be there now. Any later head holds the end as well,
so the newest one is asked for; a party that finds own entries left out goes on refusing.
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
"""Seconds that a party may take; whoever wants the bundle waits as long."""
AGAIN: Final = 10.0
"""Seconds until a job's parties are asked once more: anybody who sees it may want its bundle."""
MOST: Final = 1000
"""Jobs that are remembered."""
_FIRST_SEQ: Final = 1 << 40
"""Effects of the job's own script have smaller numbers."""


class Recosigning:
    """Asks parties for a cosignature over the newest head.

    Args:
        ledger: the log.
        courier: knows who is connected.
        asking: asks them, and takes their cosignatures in.
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
        """Ask those of the parties that are connected, unless they were asked just now."""
        now = self._ticks()
        if now - self._asked.get(job, -AGAIN) >= AGAIN and await self.ask(job, parties):
            if len(self._asked) >= MOST:
                self._asked.clear()
            self._asked[job] = now

    async def ask(self, job: str, parties: Sequence[str]) -> bool:
        """Ask those of the parties that are connected, and wait a bounded time; was anybody?"""
        there = tuple(one for one in parties if self._courier.status(one).connected)
        if not there:
            return False
        note = await self._ledger.head()
        request = CosignRequest(job=job, head=head_only(note))
        ask = Ask(there, request.verb, as_body(request), need=0, patience=PATIENCE)
        with contextlib.suppress(SecureFlowError):  # the bundle says whose cosignature it lacks
            await self._asking.perform(job, fresh_number(_FIRST_SEQ), ask, asyncio.Event())
        return True


def fresh_number(first: int) -> int:
    """Return the number of a question that is asked again, and never was under this number.

    A party gives its last answer to a number again, a refusal too, whatever has changed since.
    """
    return first + secrets.randbelow(_FIRST_SEQ)
