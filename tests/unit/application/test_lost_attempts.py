"""A party that has lost an attempt: those who wait for it in there are told before it is over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from secureflow.application.ports.courier import Request
from secureflow.application.running.asking import Asking
from secureflow.engines.run.attemptcodes import LOST
from secureflow.engines.script import Ask
from secureflow.kit.errors import SecureFlowError


class Waiting:
    """bank-a fails at once; bank-b waits for it until somebody says that it does not come."""

    def __init__(self, code: str) -> None:
        self.code, self.told = code, asyncio.Event()

    async def ask(self, request: Request) -> Any:
        if request.party == "bank-a":
            raise SecureFlowError(self.code, "bank-a cannot go on")
        if self.code == LOST:
            async with asyncio.timeout(60):
                await self.told.wait()
        raise SecureFlowError("peer_broken", "bank-a went")

    async def withdraw(self, job: str) -> None:
        raise AssertionError(job)


@pytest.mark.parametrize(
    ("code", "verb", "body", "told"),
    [
        (LOST, "peer_run", {"attempt": 2}, [("job_1", 2, "bank-a")]),
        ("engine_failed", "peer_run", {"attempt": 2}, []),
        ("engine_failed", "mask", {}, []),
    ],
)
async def test_an_attempt_that_a_party_lost_is_told(
    code: str, verb: str, body: dict[str, Any], told: list[tuple[str, int, str]]
) -> None:
    courier: Any = Waiting(code)
    lost: list[tuple[str, int, str]] = []

    def note(*of: Any) -> None:
        lost.append(of)
        courier.told.set()

    async def cosigned(*_: object) -> None:
        return

    ask = Ask(("bank-a", "bank-b"), verb, body, need=0, patience=None)
    found: Any = await Asking(courier, cosigned, note).perform("job_1", 0, ask, asyncio.Event())
    assert set(found["failures"]) == {"bank-a", "bank-b"}
    assert lost == told
