"""What an open page is told: only what its person may see, each change once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application import feed as feeds
from secureflow.application import live as lives
from secureflow.application.access import Principal
from secureflow.application.live import Live, Message
from secureflow.application.ports.changes import ChangeKind
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.notifications import Notification
from secureflow.domain.users import Role
from tests.stage import Stage, two_worlds


@pytest.fixture
async def stage(tmp_path: Any) -> Stage:
    return await two_worlds(tmp_path)


class Page:
    """An open page: what it got, read on demand."""

    def __init__(self, messages: AsyncGenerator[Message, None]) -> None:
        self._messages = messages
        self.got: list[Message] = []

    async def next(self) -> Message:
        async with asyncio.timeout(10):
            self.got.append(await anext(self._messages))
        return self.got[-1]


@asynccontextmanager
async def page(
    stage: Stage, who: Principal, after: str = "", jobs: Sequence[str] = ()
) -> AsyncIterator[Page]:
    async with aclosing(stage.services.live.messages(who, after, jobs)) as messages:
        yield Page(messages)


async def move(stage: Stage, key: str, state: JobState, told: str = "") -> None:
    async with stage.database.begin() as work:
        job: Job = await work.jobs.get(key)  # type: ignore[attr-defined]
        await work.jobs.save(replace(job, state=state))  # type: ignore[attr-defined]
        if told:
            await work.events.append(key, "state", stage.now[0], {"state": told})
        await work.commit()


async def tell(stage: Stage, who: Principal, event: str) -> None:
    async with stage.database.begin() as work:
        one = Notification(0, who.user, "log_set_back", 1, {"origin": "x"})
        await work.notifications.add(event, [one])
        await work.commit()


async def link(stage: Stage, party: str) -> None:
    async with stage.database.begin() as work:
        work.changes.note(ChangeKind.LINK, party, data={"connected": True, "at": 1})
        await work.commit()


async def test_a_page_is_told_of_its_jobs_and_not_of_others(stage: Stage) -> None:
    async with page(stage, stage.scientist("bank-b")) as mine:
        hello = await mine.next()
        assert (hello.kind, hello.data) == ("hello", {"unread": 0})
        await move(stage, stage.ids["outsider.job"], JobState.PAUSED)
        await move(stage, stage.ids["job"], JobState.APPROVED)
        told = await mine.next()
    assert (told.kind, told.data["job"].id) == ("job", stage.ids["job"])
    assert (told.data["job"].state, "event" in told.data) == (JobState.APPROVED, False)
    assert not hasattr(told.data["job"], "spec")


async def test_the_operator_is_told_of_all(stage: Stage) -> None:
    async with page(stage, stage.operator) as mine:
        await mine.next()
        await move(stage, stage.ids["outsider.job"], JobState.PAUSED)
        assert (await mine.next()).data["job"].id == stage.ids["outsider.job"]


async def test_who_left_the_project_is_told_nothing_more(stage: Stage) -> None:
    """The stream is open already: what counts is who takes part when the job changes."""
    async with page(stage, stage.scientist("bank-b")) as mine:
        await mine.next()
        await stage.services.projects.leave(stage.admin("bank-b"), stage.ids["project"])
        await move(stage, stage.ids["job"], JobState.APPROVED)
        await tell(stage, stage.scientist("bank-b"), "marker")
        assert (await mine.next()).kind == "notification"


async def test_every_event_of_a_followed_job_is_told_and_of_others_the_newest_state(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MERGE_SECONDS", 0.0)
    key, who = stage.ids["job"], stage.scientist("bank-a")
    async with page(stage, who, jobs=[key]) as followed, page(stage, who) as plain:
        await followed.next()
        await plain.next()
        for number in range(5):
            await move(stage, key, JobState.APPROVED, f"s{number}")
        events = [(await followed.next()).data["event"] for _ in range(5)]
        assert [one["data"]["state"] for one in events] == [f"s{n}" for n in range(5)]
        assert len({one["id"] for one in events}) == 5
        merged = await plain.next()
        assert "event" not in merged.data
        await tell(stage, who, "marker")
        while (await plain.next()).kind != "notification":
            continue
    assert len(plain.got) < len(followed.got) + 2
    assert plain.got[-2].data["job"].state is JobState.APPROVED


async def test_a_page_that_comes_back_goes_on_without_loss_or_repetition(stage: Stage) -> None:
    key, who = stage.ids["job"], stage.scientist("bank-a")
    async with page(stage, who, jobs=[key]) as first:
        await first.next()
        for number in range(4):
            await move(stage, key, JobState.APPROVED, f"s{number}")
        got = [(await first.next()) for _ in range(2)]
    await move(stage, key, JobState.APPROVED, "s4")  # nobody watches
    begin = stage.services.begin
    feed = feeds.Feed(begin, lambda: 1)  # of another server of the database
    other = Live(begin, feed, lambda: 0.0, lambda: False)
    async with aclosing(other.messages(who, got[-1].cursor, [key])) as messages:
        second = Page(messages)
        rest = [await second.next() for _ in range(3)]
    states = [one.data["event"]["data"]["state"] for one in (*got, *rest)]
    assert states == [f"s{n}" for n in range(5)]
    assert len({one.cursor for one in (*got, *rest)}) == 5


@pytest.mark.parametrize("cursor", ["1-ffff", "999999-0", "nonsense", "-", "١-0"])
async def test_a_cursor_that_is_not_known_says_reload(stage: Stage, cursor: str) -> None:
    async with page(stage, stage.scientist("bank-a"), cursor) as mine:
        reset = await mine.next()
        assert reset.kind == "reset"
        await move(stage, stage.ids["job"], JobState.APPROVED)
        assert (await mine.next()).kind == "job"


async def test_notifications_are_their_persons_own_and_counted(stage: Stage) -> None:
    who, other = stage.admin("bank-a"), stage.admin("bank-b")
    async with page(stage, who) as mine:
        await mine.next()
        await tell(stage, other, "not mine")
        await tell(stage, who, "mine")
        told = await mine.next()
        assert (told.kind, told.data["unread"]) == ("notification", 1)
        assert told.data["notification"].user == who.user
        await stage.services.notifications.read_all(other)
        await stage.services.notifications.read_all(who)
        assert ((await mine.next()).kind, mine.got[-1].data) == ("inbox", {"unread": 0})


async def test_links_are_told_to_those_who_see_the_party(stage: Stage) -> None:
    async with (
        page(stage, stage.scientist("bank-a")) as fellow,
        page(stage, stage.scientist("outsider")) as stranger,
    ):
        await fellow.next()
        await stranger.next()
        await link(stage, "bank-b")
        await link(stage, "enclave")
        assert (await fellow.next()).data == {"party": "bank-b", "connected": True, "at": 1}
        assert (await fellow.next()).data["party"] == "enclave"
        assert (await stranger.next()).data["party"] == "enclave"


async def test_links_that_come_and_go_are_written_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LINK_SECONDS", 0.0)
    feed = stage.services.feed
    for connected in (True, False, True):
        feed.linked("bank-b", connected)
    writing = asyncio.create_task(feed.keep_links())
    async with page(stage, stage.scientist("bank-a"), "0-x") as mine:
        while (await mine.next()).kind != "link":
            continue
    writing.cancel()
    await asyncio.wait([writing])
    links = [one for one in stage.database.tables.changes if one.about == "bank-b"]
    assert [one.data["connected"] for one in links] == [True]


async def test_a_page_for_which_nothing_happens_learns_where_it_stands(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives, "POSITION_SECONDS", 0.0)
    async with page(stage, stage.scientist("outsider")) as mine:
        await mine.next()
        await move(stage, stage.ids["job"], JobState.APPROVED)
        here = await mine.next()
    assert (here.kind, here.data) == ("", {})
    assert here.cursor == stage.database.tables.changes[-1].cursor


async def test_a_page_that_is_far_behind_reads_from_the_database(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "KEPT", 2)
    key, who = stage.ids["job"], stage.scientist("bank-a")
    async with page(stage, who, jobs=[key]) as mine, page(stage, who) as other:
        await mine.next()
        await other.next()
        for number in range(9):
            await move(stage, key, JobState.APPROVED, f"s{number}")
        await other.next()  # the reader has taken them all, and keeps two
        states = [(await mine.next()).data["event"]["data"]["state"] for _ in range(9)]
    assert states == [f"s{n}" for n in range(9)]


async def test_nobody_watches_and_nothing_is_read(stage: Stage) -> None:
    async with page(stage, stage.scientist("bank-a")) as mine:
        await mine.next()
        assert stage.services.feed._reader is not None
    assert stage.services.feed._reader is None


async def test_an_auditor_sees_what_auditors_see(stage: Stage) -> None:
    auditor = stage.person("bank-c", Role.AUDITOR)
    async with page(stage, auditor) as mine:
        await mine.next()
        await move(stage, stage.ids["job"], JobState.APPROVED)
        assert (await mine.next()).kind == "job"
