"""Over a slow link, as a satellite's, the doctor waits as long as an exchange takes there."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.links import Cutter

from secureflow.agent.edge import diagnosis
from tests.unit.agent.test_doctor import patient, running

__all__ = ["running"]
DELAY = 0.1
"""Seconds each way: more than an answer over a link without any may take here."""


@pytest.mark.parametrize(
    ("turns", "failed"), [(1000, {}), (0, {"authorisation": "unavailable"})], ids=["grows", "fixed"]
)
async def test_patience_grows_with_what_an_exchange_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int, failed: dict[str, str]
) -> None:
    monkeypatch.setattr(diagnosis, "ANSWERED", DELAY / 2)
    monkeypatch.setattr(diagnosis, "TURNS", turns)
    async with patient(tmp_path) as sick:
        slow = await Cutter(sick.centre.port).start()
        try:
            slow.delay, sick.settings["link"] = DELAY, slow.address
            assert await sick.failed() == failed
        finally:
            await slow.stop()
