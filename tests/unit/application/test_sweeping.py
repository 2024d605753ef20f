"""The sweeper outlives what goes wrong while it sweeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from secureflow.application.sweeping import keep_swept
from secureflow.kit.errors import SecureFlowError
from tests.doubles import MemoryDatabase

PATIENCE = 20.0


@pytest.mark.parametrize(
    "fault", [ConnectionError("the database is away"), SecureFlowError("database_busy", "busy")]
)
async def test_a_database_that_was_away_is_swept_when_it_is_back(fault: Exception) -> None:
    database, faults, swept = MemoryDatabase(), [fault, fault], asyncio.Event()

    def begin() -> Any:
        if faults:
            raise faults.pop()
        swept.set()
        return database.begin()

    sweeper = asyncio.create_task(keep_swept(begin, lambda: 0, 0.001))
    try:
        await asyncio.wait_for(swept.wait(), PATIENCE)
    finally:
        sweeper.cancel()
    assert faults == []


async def test_nothing_is_forgotten_before_the_clock_had_time_to_be_set() -> None:
    asked: list[int] = []

    def begin() -> Any:
        asked.append(1)
        raise SecureFlowError("database_busy", "busy")

    sweeper = asyncio.create_task(keep_swept(begin, lambda: 0))
    for _ in range(10):
        await asyncio.sleep(0)
    sweeper.cancel()
    assert not asked
