"""Two whole servers on one folder and database: each is seen by the other under its own name."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from secureflow.server.centre import open_centre
from secureflow.server.settings import ServerSettings
from tests.contract.database.test_restore import new_centre


async def test_each_of_two_servers_sees_the_other(tmp_path: Path) -> None:
    made = await asyncio.to_thread(new_centre, tmp_path / "centre")
    settings = ServerSettings.load(made)
    link = settings.link.model_copy(update={"port": 0})
    settings = settings.model_copy(update={"link": link})
    async with AsyncExitStack() as stack:
        both = [await open_centre(settings, stack, lambda: False) for _ in range(2)]
        seen: list[set[str]] = []
        own: list[str] = []
        for centre in both:
            runner: Any = centre.services.jobs._driver
            await runner.look()
            seen.append(runner._claims.others)
            own.append(runner._claims.name)
        async with both[0].services.begin() as unit:
            named = {beat.name for beat in await unit.claims.beats()}
    assert [named - others for others in seen] == [{name} for name in own]
