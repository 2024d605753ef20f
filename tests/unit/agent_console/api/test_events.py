"""The stream of an open page: what changed, since when, for whom, and until when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from peers.agent_people import waiting_item
from peers.owner_page import PORT, Browser, OwnerPage, owner_page

from secureflow.agent.console import protocol, watching
from secureflow.agent.console.addresses import EVENTS
from secureflow.agent.console.api import events
from secureflow.agent.console.api.operations import UNATTENDED
from secureflow.agent.console.serving import serve
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.agent.edge import watchcommands

PATIENCE = 30.0
"""Seconds after which a stream that says nothing has failed."""


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwnerPage]:
    monkeypatch.setattr(watchcommands, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(events, "SETTLE_SECONDS", 0.0)
    async with owner_page(tmp_path, people=("ada", "ben", "vera")) as served:
        yield served


@dataclass
class Stream:
    """What a browser has received of a stream: httpx would wait for its end."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    more: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def send(self, message: Any) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.text += message.get("body", b"").decode()
            self.ended = not message.get("more_body", False)
        self.more.set()

    def told(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return each event: its id, its name, its data."""
        found = []
        for block in self.text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "event" in lines:
                found.append((lines.get("id", ""), lines["event"], json.loads(lines["data"])))
        return found

    async def until(self, count: int) -> list[tuple[str, str, dict[str, Any]]]:
        """Wait for so many events."""
        await self._until(lambda: len(self.told()) >= count)
        return self.told()

    async def end(self) -> None:
        """Wait for the end."""
        await self._until(lambda: False)

    async def named(self, name: str) -> dict[str, Any]:
        """Wait for an event of a name, and return its data."""
        await self._until(lambda: any(one[1] == name for one in self.told()))
        return next(one[2] for one in self.told() if one[1] == name)

    async def _until(self, there: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not there() and not self.ended:
                self.more.clear()
                await self.more.wait()


@asynccontextmanager
async def stream(page: OwnerPage, who: Browser, last: str = "") -> AsyncIterator[Stream]:
    """Open the stream in somebody's browser."""
    cookie = f"secureflow-owner-{PORT}={who.session}"
    headers = {"host": f"127.0.0.1:{PORT}", "cookie": cookie, "sec-fetch-site": "same-origin"}
    headers |= {"last-event-id": last} if last else {}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": EVENTS, "raw_path": EVENTS.encode(),
        "query_string": b"", "headers": raw, "client": ("127.0.0.1", 4711), "scheme": "http",
        "server": ("127.0.0.1", PORT), "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    found, gone = Stream(), asyncio.Event()
    began = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if began:
            return began.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(page.app(scope, receive, found.send))
    try:
        yield found
    finally:
        gone.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def site(page: OwnerPage) -> Any:
    return page.app._refuse.args[0]


async def test_a_request_that_comes_is_told_to_the_open_page(page: OwnerPage) -> None:
    ben = await page.of("ben")
    async with stream(page, ben) as open_page:
        first = (await open_page.until(1))[0]
        assert first[1:] == ("now", {"waiting": 0, "running": 0, "link": "down", "parts": []})
        assert open_page.headers["content-type"].startswith("text/event-stream")
        asking, _ = await waiting_item(page.team.world)
        # The job is on record before its question is asked: a slow agent tells twice.
        await open_page._until(lambda: open_page.told()[-1][2]["waiting"] == 1)
        told = open_page.told()[1:]
        assert {name for _, name, _ in told} == {"changed"}
        assert any("inbox" in one["parts"] for _, _, one in told)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_who_comes_back_is_told_what_changed_meanwhile_once(page: OwnerPage) -> None:
    ben = await page.of("ben")
    async with stream(page, ben) as open_page:
        last = (await open_page.until(1))[0][0]
    asking, item = await waiting_item(page.team.world)
    async with stream(page, ben, last) as again:
        marker, name, data = (await again.until(1))[0]
        assert (name, data["parts"]) == ("changed", ["inbox"])
    async with stream(page, ben, marker) as third:
        assert (await third.until(1))[0][2]["parts"] == []
    page.team.world.assembly.inbox.withdraw(item.job)
    async with stream(page, ben, "999999.0.0.0.down") as set_back:
        assert (await set_back.until(1))[0][2]["parts"] == list(events.PARTS)
    for foreign in ("x", "1.2.3", "-1.0.0.0.down", "1.0.0.0.up", "1" * 200):
        async with stream(page, ben, foreign) as unknown:
            assert (await unknown.until(1))[0][1] == "now"
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_stream_ends_with_its_session_and_does_not_keep_it_alive(
    page: OwnerPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.01)
    ben, ada = await page.of("ben"), await page.of("ada")
    async with stream(page, ben) as open_page:
        await open_page.until(1)
        page.team.world.now += 29 * 60
        await ada.log_in("ada")
        await open_page.until(2)  # it was asked with his session meanwhile
        page.team.world.now += 60
        await open_page.named("ended")  # what was seen before may be told in one part or in two
        assert open_page.told()[-1][1] == "ended"
        assert open_page.ended
    assert (await ben.get("/inbox")).status_code == 401


async def test_a_disabled_account_is_told_nothing_more(page: OwnerPage) -> None:
    ben, ada = await page.of("ben"), await page.of("ada")
    async with stream(page, ben) as open_page:
        await open_page.until(1)
        await ada.send("PUT", "/people/ben/state", {"disabled": True})
        await open_page.named("ended")
        told = [one[1] for one in open_page.told()]
        # What was seen before it was disabled may still be told.
        assert told in (["now", "ended"], ["now", "changed", "ended"])


async def test_nobody_without_a_session_gets_a_stream(page: OwnerPage) -> None:
    ben = await page.of("ben")
    await ben.send("DELETE", "/session")
    async with stream(page, ben) as refused:
        await refused.end()
        assert refused.status == 401
        assert json.loads(refused.text)["code"] == "session_needed"


async def test_the_agent_is_asked_by_one_question_and_by_none_when_nobody_looks(
    page: OwnerPage,
) -> None:
    ben = await page.of("ben")
    watch = site(page).watching
    async with stream(page, ben) as one, stream(page, ben) as other:
        await one.until(1)
        await other.until(1)
        assert watch.count == 2
        assert page.team.server._connections
    assert watch.count == 0
    assert watch._task is None


async def test_a_session_has_so_many_streams_and_all_have_so_many(
    page: OwnerPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "EACH", 1)
    ben = await page.of("ben")
    async with stream(page, ben) as one:
        await one.until(1)
        async with stream(page, ben) as refused:
            await refused.end()
            assert refused.status == 429
    async with stream(page, ben) as again:
        assert await again.until(1)


async def test_a_person_has_so_many_streams_in_all_sessions(
    page: OwnerPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a viewer with a few sessions would shut everybody else's pages out."""
    monkeypatch.setattr(watching, "PERSON", 2)
    vera, again, third = [await page.of("vera") for _ in range(3)]
    ben = await page.of("ben")
    async with stream(page, vera) as one, stream(page, again) as other:
        await one.until(1)
        await other.until(1)
        async with stream(page, third) as refused:
            await refused.end()
            assert refused.status == 429
        async with stream(page, ben) as allowed:
            assert await allowed.until(1)
    async with stream(page, third) as free:
        assert await free.until(1)


def used(page: OwnerPage, who: Browser) -> int:
    """When a session was used last, as the agent counts it."""
    return page.team.logins.session(who.session, keep=False)[1].used


async def test_what_a_page_reads_by_itself_keeps_no_session_alive(page: OwnerPage) -> None:
    """A centre that proposes something now and then has every open page read."""
    ben, world = await page.of("ben"), page.team.world
    begun = world.now
    quiet = {UNATTENDED: "1"}
    for _ in range(3):
        world.now += 9 * 60
        site(page).visitors.forget_all()
        assert (await ben.get("/inbox", **quiet)).status_code == 200
        assert (await ben.get("/account", **quiet)).status_code == 200
        site(page).visitors.forget_all()
        async with stream(page, ben) as open_page:  # as a browser opens it again
            await open_page.until(1)
    assert used(page, ben) == begun
    world.now += 4 * 60
    assert (await ben.get("/inbox", **quiet)).status_code == 401


@pytest.mark.parametrize("said", [{}, {UNATTENDED: "0"}, {UNATTENDED: ""}])
async def test_what_a_person_reads_keeps_the_session_alive(
    page: OwnerPage, said: dict[str, str]
) -> None:
    ben, world = await page.of("ben"), page.team.world
    world.now += 9 * 60
    await ben.get("/inbox", **said)
    assert used(page, ben) == world.now


async def test_what_writes_is_somebodys_whatever_the_page_says(page: OwnerPage) -> None:
    ben, world = await page.of("ben"), page.team.world
    world.now += 9 * 60
    answer = await ben.send("PUT", "/account/absence", {"until": ""}, {UNATTENDED: "1"})
    assert answer.status_code < 300
    assert used(page, ben) == world.now


async def test_an_agent_that_is_away_is_told_and_that_it_is_back(
    page: OwnerPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.02)
    site(page).watching._away = 0.01
    ben = await page.of("ben")
    async with stream(page, ben) as open_page:
        await open_page.until(1)
        await page.team.server.stop()
        assert (await open_page.until(2))[1][1] == "away"
        await page.team.server.start()
        with page.team.world.store.transaction():
            page.team.world.store.note(page.team.world.now, "settings.reloaded", "")
        assert (await open_page.named("changed"))["parts"] == ["agent"]


async def test_an_agent_that_is_back_as_it_was_is_told_all_the_same(page: OwnerPage) -> None:
    """Else the page says that nobody answers until something else happens at the agent."""
    site(page).watching._away = 0.01
    ben = await page.of("ben")
    async with stream(page, ben) as open_page:
        before = (await open_page.until(1))[0]
        await page.team.server.stop()
        await open_page.named("away")
        await page.team.server.start()
        back = await open_page.named("changed")
    assert (back["link"], back["parts"]) == (before[2]["link"], [])
    assert open_page.told()[-1][0] == before[0], "the agent's marker is the one of before"


async def test_a_stream_outlives_the_time_of_an_exchange_and_ends_with_the_process(
    page: OwnerPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a connection as browsers have it: what is no stream is hung up on meanwhile."""
    monkeypatch.setattr(protocol, "EXCHANGE_SECONDS", 0.2)
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.1)
    ben = await page.of("ben")
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    socket = page.team.world.settings.socket
    settings = ConsoleSettings(listen="127.0.0.1:0")
    serving = asyncio.create_task(serve(settings, socket, told.set_result))
    port = httpx.URL(await told).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Cookie: secureflow-owner-{port}={ben.session}\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"event: now")
        for _ in range(4):  # longer than an exchange has
            await reader.readuntil(b": \n\n")
        with page.team.world.store.transaction():
            page.team.world.store.note(page.team.world.now, "settings.reloaded", "")
        await reader.readuntil(b"event: changed")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        with suppress(ConnectionError):
            await reader.read()
    writer.close()
