"""What servers of one database know of another: their names, and when watchers have to look."""

from __future__ import annotations

import asyncio
from pathlib import Path

from secureflow.adapters.messaging import InProcessBus
from secureflow.application.jobs.jobs import topic
from secureflow.domain.jobs import JobState
from secureflow.server.neighbours import Watchers, own_name
from tests.stage import Stage, two_worlds


def test_servers_of_one_folder_have_names_of_their_own_and_keep_them(tmp_path: Path) -> None:
    with own_name(tmp_path) as first:
        with own_name(tmp_path) as second:
            assert first != second
        with own_name(tmp_path) as again:
            assert again == second
    with own_name(tmp_path) as again:
        assert again == first


class Noting(InProcessBus):
    def __init__(self) -> None:
        super().__init__()
        self.published: list[str] = []

    async def publish(self, topic: str) -> None:
        self.published.append(topic)
        await super().publish(topic)


async def test_who_watches_at_another_server_hears_the_end(tmp_path: Path) -> None:
    stage, bus, heard = await two_worlds(tmp_path), Noting(), asyncio.Event()
    jobs, ada, key = stage.services.jobs, stage.scientist("bank-a"), stage.ids["job"]
    jobs._bus = bus
    driven, others = {key}, {"host-2:8444"}
    watchers = Watchers(bus, driven.__contains__, lambda: others)

    async def watch() -> None:
        async for event in jobs.events(ada, key, 0):
            heard.set()
            del event

    await note(stage, key)
    watching = asyncio.create_task(watch())
    await heard.wait()
    async with stage.database.begin() as work:
        job = await work.jobs.get(key)
    await stage.finish(job, state=JobState.FAILED)  # there, and nobody publishes it here
    await watchers.poll()
    driven.clear()
    others.clear()
    await watchers.poll()
    assert bus.published == []  # driven here, or there is no other server
    others.add("host-2:8444")
    await watchers.poll()
    await asyncio.wait_for(watching, 120)
    assert topic(key) not in bus.topics


async def note(stage: Stage, key: str) -> None:
    async with stage.database.begin() as work:
        await work.events.append(key, "state", 1, {"state": "running"})
        await work.commit()
