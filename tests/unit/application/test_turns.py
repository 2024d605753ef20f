"""What one member asks to be calculated keeps others waiting for one piece at most."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.turns import MOST_WAITING
from tests.stage import Stage
from tests.unit.application.refusing import refused
from tests.unit.application.test_private_jobs import PARTS

QUOTE = {
    "noise": 4.0, "epsilon": {"pld": 1.0, "rdp-cks20": 1.0, "rdp-filter": 1.0}, "curve": []
}  # fmt: skip


class Slow:
    """An accountant that answers when it is told to."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.go = asyncio.Event()

    async def quote(self, **_: Any) -> dict[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return QUOTE


@pytest.fixture
def slow(stage: Stage) -> Slow:
    accountant = Slow()
    stage.services.jobs._accountant = accountant  # type: ignore[assignment]
    return accountant


async def _settle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_member_has_one_calculation_at_a_time_and_others_theirs(
    stage: Stage, slow: Slow
) -> None:
    jobs, wanted = stage.services.jobs, stage.wanted(parts=PARTS)
    mine = [
        asyncio.create_task(jobs.rehearse(stage.scientist("bank-a"), wanted))
        for _ in range(MOST_WAITING)
    ]
    await _settle()
    assert slow.running == 1
    with refused("rate_limited"):
        await jobs.rehearse(stage.scientist("bank-a"), wanted)
    theirs = asyncio.create_task(jobs.rehearse(stage.scientist("bank-b"), wanted))
    await _settle()
    assert slow.running == 2
    slow.go.set()
    await asyncio.gather(theirs, *mine)
    assert slow.most == 2
    await jobs.rehearse(stage.scientist("bank-a"), wanted)  # every place is given back


async def test_who_is_no_member_starts_no_calculation(stage: Stage, slow: Slow) -> None:
    wanted = replace(stage.wanted(parts=PARTS), project="prj_of_nobody")
    with refused("not_found"):
        await stage.services.jobs.rehearse(stage.scientist("bank-a"), wanted)
    with refused("not_found"):
        await stage.services.jobs.submit(stage.scientist("outsider"), stage.wanted(parts=PARTS))
    assert slow.most == 0
