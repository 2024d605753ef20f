"""Event streams are counted by user, and end when their caller is let in no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from secureflow.application.access import Principal
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.streams import Streams, while_let_in
from secureflow.server.settings import RestSettings
from tests.stage import Stage
from tests.unit.server.conftest import Api


class Watcher:
    """A client of one event stream, spoken to in ASGI: it can stay, and go."""

    def __init__(self, api: Api, token: str, job: str, cookie: str = "") -> None:
        self.status = 0
        self.begun = asyncio.Event()
        self.leaves = asyncio.Event()
        self.asked = False
        bearer = (b"authorization", f"Bearer {token}".encode())
        shown = (b"cookie", cookie.encode()) if cookie else bearer
        scope = {
            "type": "http", "method": "GET", "path": f"/api/v1/jobs/{job}/events",
            "raw_path": b"", "query_string": b"", "root_path": "", "scheme": "https",
            "headers": [shown],
            "client": ("127.0.0.1", 1), "server": ("test", 443), "http_version": "1.1",
        }  # fmt: skip
        self.task = asyncio.create_task(api.app(scope, self.receive, self.send))  # type: ignore[arg-type]

    async def receive(self) -> dict[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.begun.set()

    async def go(self) -> None:
        self.leaves.set()
        await self.task


@pytest.fixture
def watching(stage: Stage) -> Api:
    return Api(stage, RestSettings(rate_per_second=1e6, burst=1_000_000, max_streams=2))


async def watch(api: Api, person: Principal) -> Watcher:
    watcher = Watcher(api, await api.stage.bearer(person), api.stage.ids["job"])
    await watcher.begun.wait()
    return watcher


async def test_a_user_watches_so_many_jobs(watching: Api) -> None:
    api, scientist = watching, watching.stage.scientist("bank-a")
    first, second = await watch(api, scientist), await watch(api, scientist)
    third = await watch(api, scientist)  # with a token of its own
    other = await watch(api, api.stage.owner("bank-a"))
    assert [one.status for one in (first, second, third, other)] == [200, 200, 429, 200]
    await third.task
    await first.go()
    again = await watch(api, scientist)
    assert again.status == 200
    for one in (second, other, again):
        await one.go()
    assert not api.app.state.streams._open


async def test_a_stream_that_is_refused_is_not_counted(watching: Api) -> None:
    api = watching
    outsider = await watch(api, api.stage.scientist("outsider"))
    assert outsider.status == 404
    await outsider.task
    assert not api.app.state.streams._open


@pytest.mark.parametrize("how", ["token", "user", "organisation", "expiry"])
async def test_a_stream_ends_with_what_let_its_caller_in(
    watching: Api, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(while_let_in, "__defaults__", (0.01,))
    api, stage = watching, watching.stage
    scientist, other = stage.scientist("bank-a"), await watch(watching, stage.scientist("bank-b"))
    watcher = await watch(api, scientist)
    if how == "token":
        (token,) = await stage.services.tokens.list(scientist)
        await stage.services.tokens.revoke(scientist, token.id)
    elif how == "user":
        await stage.services.users.update(stage.operator, scientist.user, disabled=True)
    elif how == "organisation":
        async with stage.database.begin() as work:
            bank = await work.organisations.get("bank-a")
            await work.organisations.save(type(bank)(**{**vars(bank), "disabled": True}))
            await work.commit()
    else:
        stage.now[0] += 3601
    await watcher.task
    if how != "expiry":
        assert not other.task.done()
    await other.go()


async def test_events_pass_while_the_reader_is_let_in() -> None:
    quiet, closed = asyncio.Event(), asyncio.Event()
    asked = 0

    async def events() -> AsyncGenerator[int, None]:
        try:
            for n in range(5):
                yield n
                await asyncio.sleep(0)
            quiet.set()
            await asyncio.Event().wait()  # nothing happens for ever
        finally:
            closed.set()

    async def let_in() -> bool:
        nonlocal asked
        asked += quiet.is_set()
        return asked < 3

    assert [n async for n in while_let_in(events(), let_in, 0.02)] == [0, 1, 2, 3, 4]
    assert asked == 3
    assert closed.is_set()


async def test_a_stream_that_ends_ends() -> None:
    async def events() -> AsyncGenerator[int, None]:
        yield 1

    async def let_in() -> bool:
        raise AssertionError

    assert [n async for n in while_let_in(events(), let_in)] == [1]


@pytest.mark.slow
def test_slots_come_back_after_a_failure() -> None:
    streams = Streams(1)

    def fail() -> None:
        with streams.of("a"):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    with streams.of("a"), pytest.raises(SecureFlowError, match="rate_limited"), streams.of("a"):
        pass
