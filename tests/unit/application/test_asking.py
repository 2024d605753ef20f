"""When a question to several parties is over, although one of them has not answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from secureflow.application.ports.courier import Request
from secureflow.application.running.asking import Asking
from secureflow.engines.script import Ask
from secureflow.kit.errors import SecureFlowError

RUN = {"attempt": 1, "figures": {}, "channels": {}, "seconds": 1.0, "peak": 0, "leaf": {}}


class Courier:
    """bank-b fails at once, bank-a answers when it is let."""

    def __init__(self, code: str) -> None:
        self.code, self.let = code, asyncio.Event()
        self.failed = asyncio.Event()

    async def ask(self, request: Request) -> Any:
        if request.party == "bank-b":
            self.failed.set()
            raise SecureFlowError(self.code, "bank-b is not in it any more")
        await self.let.wait()
        return RUN

    async def withdraw(self, job: str) -> None:
        raise AssertionError(job)


@pytest.mark.parametrize(
    ("verb", "code", "over"),
    [
        ("peer_run", "attempt_lost", True),
        ("peer_run", "engine_failed", False),  # the other one's word tells where it began
        ("peer_offer", "attempt_lost", False),
    ],
)
async def test_nobody_is_waited_for_who_cannot_come_to_an_end(
    verb: str, code: str, over: bool
) -> None:
    """Its peers would wait for a party that was killed until its channels count as broken."""
    courier: Any = Courier(code)
    asking = Asking(courier, courier)
    ask = Ask(("bank-a", "bank-b"), verb, need=0, patience=None)
    running = asyncio.ensure_future(asking.perform("job_1", 0, ask, asyncio.Event()))
    await courier.failed.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert running.done() == over
    courier.let.set()
    found: Any = await running
    assert found["failures"]["bank-b"]["code"] == code
    assert ("bank-a" in found["replies"] or "bank-a" in found["failures"]) != over
