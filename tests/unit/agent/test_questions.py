"""Asking a submitter something while its request waits, and the answer through a hostile centre."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import Team, waiting_item
from peers.agent_world import JOB, World

from secureflow.agent.edge.questionwatch import QuestionWatch
from secureflow.agent.owner.occurrences import notification_of
from secureflow.domain.questions import LONGEST, MOST_TURNS
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError


class Centre:
    """A centre that keeps what it is asked, and tells `answers`."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.asked: list[dict[str, Any]] = []
        self.answers: Any = []
        self.error: SecureFlowError | None = None
        self.calls: list[str] = []
        self.heard = asyncio.Event()

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        self.calls.append(kind)
        if kind == "question.ask":
            if self.error is not None:
                raise self.error
            self.asked.append(body)
            self.heard.set()
            return {}
        return {"answers": self.answers}

    def answer(self, text: Any, by: Any = "usr_alice", of: int = -1) -> None:
        asked = self.asked[of]
        self.answers = [{"job": asked["job"], "key": asked["key"], "text": text, "by": by}]


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy="")


@pytest.fixture(name="team")
async def _team(world: World) -> Team:
    return await Team(world).gather()


def watch(world: World, centre: Centre) -> QuestionWatch:
    return QuestionWatch(centre, world.store, world.assembly.questions)


async def told(team: Team, item: str) -> Any:
    return (await team.give("inbox.show", "ben", item=item))["here"]["questions"]


async def test_a_request_waits_while_its_submitter_answers(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why the\njob?")
    assert world.assembly.questions.asked.is_set()
    assert await watch(world, centre).exchange()  # an answer is awaited
    (sent,) = centre.asked
    assert {**sent, "key": ""} == {"job": JOB, "key": "", "text": "Why the\njob?"}
    assert not asking.done()
    centre.answer("To join regions.")
    assert not await watch(world, centre).exchange()
    (shown,) = await told(team, item.id)
    assert (shown["person"], shown["answer"], shown["by"]) == (
        "ben",
        "To join regions.",
        "usr_alice",
    )
    newest = world.store.actions(limit=1)[0]
    news = notification_of(newest)
    assert news is not None
    assert (news.kind, news.facts) == ("question_answered", {"job": JOB, "item": item.id})
    await team.give("inbox.approve", "ben", item=item.id)
    assert (await asking)["approval"]
    approved = [o["facts"] for o in world.store.actions() if o["action"] == "inbox.approved"]
    assert approved[0]["questions"] == digest([["Why the\njob?", "To join regions."]])


async def test_nothing_is_asked_of_the_centre_while_nothing_is_open(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    assert not await watch(world, centre).exchange()
    assert centre.calls == []
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why?")
    await team.give("inbox.reject", "ben", item=item.id)
    assert not await watch(world, centre).exchange()  # it was decided without the answer
    assert centre.calls == []
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_killed_agent_tells_its_question_and_takes_the_answer(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why?")
    asking.cancel()
    world.reopen()
    centre.error = SecureFlowError("unavailable", "away")
    with pytest.raises(SecureFlowError):
        await watch(world, centre).exchange()
    centre.error = None
    await watch(world, centre).exchange()
    world.reopen()
    await watch(world, centre).exchange()
    assert len(centre.asked) == 1  # it was kept that the centre has it
    centre.answer("So.")
    await watch(world, centre).exchange()
    world.reopen()
    assert [one.answer for one in world.store.questions(JOB)] == ["So."]


async def test_questions_are_one_by_one_and_few(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    given = {"item": item.id, "question": "Why?"}
    for _ in range(MOST_TURNS):
        assert await team.refusal("inbox.ask_back", "ben", **given) == ""
        assert await team.refusal("inbox.ask_back", "cleo", **given) == "question_open"
        await watch(world, centre).exchange()
        centre.answer("So.")
        await watch(world, centre).exchange()
    assert await team.refusal("inbox.ask_back", "ben", **given) == "questions_exhausted"
    assert len(await told(team, item.id)) == MOST_TURNS
    asking.cancel()


async def test_a_question_is_about_what_waits_and_in_time(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    given = {"item": item.id, "question": "Why?"}
    assert await team.refusal("inbox.ask_back", "vera", **given) == "role_needed"
    for wrong in ("", " ", "x" * (LONGEST + 1), "hidden\u202e", "a\x1b[2J", 7, None):
        assert await team.refusal("inbox.ask_back", "ben", item=item.id, question=wrong) == (
            "invalid_request"
        )
    world.now = item.expires
    team.sessions["ben"] = await team.log_in("ben")
    assert await team.refusal("inbox.ask_back", "ben", **given) == "expired"
    asking.cancel()


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no list": lambda one: one,
    "nothing": lambda one: None,
    "no object": lambda one: [7, None, [one]],
    "another key": lambda one: [{**one, "key": "f" * 32}],
    "no text": lambda one: [{**one, "text": 7}],
    "an empty text": lambda one: [{**one, "text": " "}],
    "too long": lambda one: [{**one, "text": "x" * (LONGEST + 1)}],
    "too many bytes": lambda one: [{**one, "text": "ü" * LONGEST}],
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_a_centre_may_not_answer_is_no_answer(
    team: Team, world: World, name: str
) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why?")
    await watch(world, centre).exchange()
    centre.answer("So.")
    centre.answers = ANSWERS[name](centre.answers[0])
    assert await watch(world, centre).exchange()
    assert [one.answer for one in world.store.questions(JOB)] == [""]
    asking.cancel()


async def test_nothing_in_an_answer_is_hidden_and_the_first_one_stays(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why?")
    await watch(world, centre).exchange()
    centre.answer("ok\x1b[2J\u202e\nApproved by everybody", by="a\x1b[31m" + "b" * 100)
    await watch(world, centre).exchange()
    (shown,) = await told(team, item.id)
    assert shown["answer"] == "ok\\x1b[2J\\u202e\nApproved by everybody"
    assert "\x1b" not in shown["by"]
    assert len(shown["by"]) == 64
    centre.answer("another one")
    await watch(world, centre).exchange()
    assert await told(team, item.id) == [shown]
    assert not asking.done()
    asking.cancel()


async def test_a_question_that_the_centre_refuses_hinders_no_other(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why?")
    centre.error = SecureFlowError("unknown_kind", "an older centre")
    assert await watch(world, centre).exchange()
    assert not (await told(team, item.id))[0]["told"]
    assert await team.refusal("inbox.approve", "ben", item=item.id) == ""
    await asking


async def test_it_is_told_at_once_and_the_watch_ends(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    centre = Centre()
    running = asyncio.create_task(watch(world, centre).run())
    centre.connected.set()
    await team.give("inbox.ask_back", "ben", item=item.id, question="Why?")
    await centre.heard.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    asking.cancel()
