"""The one stream of a page over REST: its form, its resumption, and its end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from secureflow.application.ports.courier import PartyStatus
from secureflow.application.ports.storage import PendingLeaf
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.server.rest import events as rest_events
from secureflow.server.settings import RestSettings
from tests.fuzz.callers import SESSION
from tests.stage import NOW, Stage
from tests.unit.application.test_live import move, tell
from tests.unit.server.conftest import Api


class Tab:
    """A browser's tab that watches, spoken to in ASGI."""

    def __init__(self, api: Api, headers: dict[str, str], query: str = "") -> None:
        self.head: dict[str, str] = {}
        self.status = 0
        self._bytes = ""
        self._came = asyncio.Event()
        self._leaves = asyncio.Event()
        self._asked = False
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http", "method": "GET", "path": "/api/v1/events", "raw_path": b"",
            "query_string": query.encode(), "root_path": "", "scheme": "https", "headers": raw,
            "client": ("127.0.0.1", 1), "server": ("test", 443), "http_version": "1.1",
        }  # fmt: skip
        self.task = asyncio.create_task(api.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.head = {k.decode().lower(): v.decode() for k, v in message["headers"]}
        self._bytes += message.get("body", b"").decode()
        self._came.set()

    async def next(self) -> dict[str, Any]:
        """Return the next message: its id, event and data."""
        async with asyncio.timeout(20):
            while "\n\n" not in self._bytes:
                self._came.clear()
                await self._came.wait()
        block, _, self._bytes = self._bytes.partition("\n\n")
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        return {**lines, "data": json.loads(lines.get("data", "null"))}

    async def close(self) -> None:
        self._leaves.set()
        await self.task


async def bearer(stage: Stage, who: Any, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {await stage.bearer(who)}", **more}


async def test_a_page_watches_everything_by_one_stream(api: Api) -> None:
    stage, key = api.stage, api.stage.ids["job"]
    who = stage.scientist("bank-a")
    tab = Tab(api, await bearer(stage, who, **{"Accept-Language": "zh"}), f"jobs={key}&jobs=job_x")
    hello = await tab.next()
    assert (hello["event"], hello["data"], hello["retry"]) == ("hello", {"unread": 0}, "2000")
    assert tab.head["x-accel-buffering"] == "no"
    assert tab.head["content-type"].startswith("text/event-stream")
    await move(stage, key, JobState.APPROVED, "approved")
    told = await tab.next()
    assert (told["event"], told["data"]["event"]["kind"]) == ("job", "state")
    listed = (await api.call("GET", "/jobs", who)).json()["items"]
    assert told["data"]["job"] in listed
    await tell(stage, who, "x")
    said = await tab.next()
    assert (said["event"], said["data"]["unread"]) == ("notification", 1)
    assert "日志" in said["data"]["notification"]["text"]
    await tab.close()
    await move(stage, key, JobState.PAUSED, "paused")
    headers = await bearer(stage, who, **{"Last-Event-ID": told["id"]})
    back = Tab(api, headers, f"jobs={key}")
    assert [(await back.next())["id"] for _ in range(1)] == [said["id"]]
    assert (await back.next())["data"]["event"]["data"] == {"state": "paused"}
    await back.close()
    again = Tab(api, await bearer(stage, who), f"after={told['id']}")
    assert (await again.next())["id"] == said["id"]
    await again.close()


async def test_a_page_hears_of_an_agent_that_goes_and_comes_and_reads_it_in_the_job(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, who = api.stage, api.stage.scientist("bank-a")
    services, path = stage.services, f"/jobs/{stage.ids['job']}"
    await move(stage, stage.ids["job"], JobState.RUNNING)
    gone: dict[str, int] = {}
    monkeypatch.setattr(
        services.courier,
        "status",
        lambda one: PartyStatus(one, one not in gone, 0.0, gone=gone.get(one, 0)),
    )
    keeping = asyncio.create_task(services.feed.keep_links())
    tab = Tab(api, await bearer(stage, who))
    await tab.next()
    assert "absent" not in (await api.call("GET", path, who)).json()["progress"]
    gone["bank-c"] = since = NOW + 70  # after the job was created
    services.feed.linked("bank-c", connected=False)
    told = await tab.next()
    assert (told["event"], told["data"]["party"], told["data"]["connected"]) == (
        "link", "bank-c", False,
    )  # fmt: skip
    progress = (await api.call("GET", path, who)).json()["progress"]
    assert (progress["absent"], progress["absent_since"]) == ({"bank-c": ""}, {"bank-c": since})
    shown = (await api.call("GET", "/overview", who)).json()["absent"]
    assert shown == [{"job": stage.ids["job"], "party": "bank-c", "server": "", "since": since}]
    gone.clear()
    services.feed.linked("bank-c", connected=True)
    assert (await tab.next())["data"]["connected"]
    assert "absent" not in (await api.call("GET", path, who)).json()["progress"]
    await tab.close()
    keeping.cancel()


@pytest.mark.parametrize("place", ["1-zz", "x", "1", "1-ab;", "9" * 16 + "-ab"])
async def test_a_malformed_place_is_refused(api: Api, place: str) -> None:
    who = api.stage.scientist("bank-a")
    for headers, query in (({"Last-Event-ID": place}, ""), ({}, f"?after={place}")):
        answer = await api.call("GET", f"/events{query}", who, headers=headers)
        assert answer.status_code == 422, answer.text


async def test_the_link_of_an_agent_is_told_in_the_readers_language(api: Api) -> None:
    key, who = api.stage.ids["bank-a.agent"], api.stage.admin("bank-a")
    chinese = {"Accept-Language": "zh"}
    found = (await api.call("GET", f"/agents/{key}/link", who, headers=chinese)).json()
    steps = {one["name"]: one for one in found["steps"]}
    assert (found["party"], found["state"]) == ("bank-a", "failed")
    assert steps["connected"]["command"] == "secureflow agent doctor"
    assert "没有连接" in steps["connected"]["cause"]
    assert steps["charter"]["state"] == "ok"
    overview = (await api.call("GET", "/overview", who, headers=chinese)).json()
    assert overview["links"] == [found]


async def test_verdicts_on_the_enclave_are_listed_for_those_who_see_the_job(api: Api) -> None:
    stage, key = api.stage, api.stage.ids["job"]
    document = {"evidence": "ab", "tier": "SIMULATED", "simulated": True, "generation": 2}
    leaf = Leaf(
        "attested", stage.ledger.origin, "bank-a", 5, commitment(b"s" * 32, document), key,
        "ab" * 32,
    )  # fmt: skip
    data = sign_leaf(leaf, stage.keys["bank-a"]).data()
    await stage.submit_leaves(
        [PendingLeaf(key, 9, 0, "attested", "bank-a", data, document, b"s" * 32)]
    )
    found = (await api.call("GET", "/attestations", stage.scientist("bank-b"))).json()
    (one,) = found["items"]
    assert (one["party"], one["tier"], one["simulated"]) == ("bank-a", "SIMULATED", True)
    assert (one["job"], one["generation"], found["next"]) == (key, 2, 0)
    assert (await api.call("GET", "/attestations", stage.admin("outsider"))).json()["items"] == []
    link = f"/agents/{stage.ids['bank-a.agent']}/link"
    steps = (await api.call("GET", link, stage.admin("bank-a"))).json()["steps"]
    (step,) = [one for one in steps if one["name"] == "attestation"]
    assert (step["state"], step["facts"]["tier"]) == ("warning", "SIMULATED")


async def test_a_person_has_so_many_streams(stage: Stage) -> None:
    api = Api(stage, RestSettings(rate_per_second=1e6, burst=1_000_000, max_streams=2))
    headers = await bearer(stage, stage.scientist("bank-a"))
    tabs = [Tab(api, headers) for _ in range(2)]
    for tab in tabs:
        await tab.next()
    refused = Tab(api, headers)
    await refused.task
    assert refused.status == 429
    for tab in tabs:
        await tab.close()
    assert not api.app.state.streams._open


@pytest.mark.parametrize("how", ["logout", "expired", "disabled", "another role"])
async def test_a_stream_ends_with_its_session(
    api: Api, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_events, "LOOK_AGAIN_SECONDS", 0.01)
    stage = api.stage
    who = stage.scientist("bank-a")
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
    opened = await stage.services.sessions.open(user, method="password", address="10.0.0.1")
    tab = Tab(api, {"Cookie": f"{SESSION}={opened.text}"})
    await tab.next()
    await asyncio.sleep(0)
    assert not tab.task.done()
    if how == "logout":
        await stage.services.sessions.close(opened.text)
    elif how == "expired":
        stage.now[0] += 1800
    elif how == "another role":  # what it may see is another thing: it opens a stream again
        await stage.services.users.update(stage.operator, who.user, roles=[Role.AUDITOR])
    else:
        await stage.services.users.update(stage.operator, who.user, disabled=True)
    await asyncio.wait_for(tab.task, 20)
    assert tab.status == 200


async def test_a_session_in_a_browser_watches_its_notifications_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lets a browser in is its session: there is no token to ask for."""
    from secureflow.server.rest import streams

    monkeypatch.setattr(streams.while_let_in, "__defaults__", (0.0,))
    stage = api.stage
    who = stage.admin("bank-a")
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
    opened = await stage.services.sessions.open(user, method="password", address="10.0.0.1")
    watching = asyncio.ensure_future(
        api.http.get("/api/v1/notifications/events", headers={"Cookie": f"{SESSION}={opened.text}"})
    )
    await stage.bus.joined.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert not watching.done()
    await stage.services.sessions.close(opened.text)
    assert (await asyncio.wait_for(watching, 20)).status_code == 200
