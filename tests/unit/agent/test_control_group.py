"""A group of people reaches the socket, each with a session; and requests have their time."""

from __future__ import annotations

import asyncio
import grp
import os
import stat
from pathlib import Path

import pytest
from peers.agent_people import OWN, Team, waiting_item
from peers.agent_world import World

from secureflow.agent.edge import control
from secureflow.agent.edge.control import MAX_OTHERS, MAX_OTHERS_LINE, ControlServer, call
from secureflow.agent.owner.acting import Actor, acting
from secureflow.agent.settings import ControlSettings
from secureflow.kit.errors import SecureFlowError


async def who() -> list[str]:
    return [acting().person, str(acting().user)]


def admit(command: str, session: str, user: int) -> Actor:
    if session != "sfa_right":
        raise SecureFlowError("session_needed", "Nobody.")
    return Actor("psn_1", user)


def own_group() -> str:
    return grp.getgrgid(os.getegid()).gr_name


async def code(path: Path, session: str) -> str:
    try:
        await asyncio.to_thread(call, path, "who", {}, 60.0, session)
    except SecureFlowError as error:
        return error.code
    return ""


async def test_members_of_a_group_connect_and_the_gate_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.sock"
    server = ControlServer(path, {"who": who}, admit, own_group())
    await server.start()
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        monkeypatch.setattr(control, "is_own", lambda _: False)  # as another user of the group
        assert await code(path, "") == "session_needed"
        assert await code(path, "sfa_right") == ""
        told = await asyncio.to_thread(call, path, "who", {}, 60.0, "sfa_right")
        assert told == ["psn_1", str(os.geteuid())]
    finally:
        await server.stop()
    assert acting() == Actor()


async def test_who_shows_no_session_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member of the group sends long requests, and opens connections, before anybody asks."""
    path = tmp_path / "agent.sock"
    server = ControlServer(path, {"who": who}, admit, own_group())
    read: list[int] = []

    def parsed(line: bytes, most: int) -> dict[str, str]:
        read.append(len(line))
        return {}

    monkeypatch.setattr(control, "parse_json", parsed)
    await server.start()
    try:
        monkeypatch.setattr(control, "is_own", lambda _: False)
        for size, answered in ((MAX_OTHERS_LINE, True), (MAX_OTHERS_LINE + 1, False)):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"1" * (size - 1) + b"\n")
            assert bool(await reader.readline()) is answered
            writer.close()
        assert read == [MAX_OTHERS_LINE]
        while server._others:  # noqa: ASYNC110  the end of a connection tells nobody
            await asyncio.sleep(0.001)
        opened = [await asyncio.open_unix_connection(path) for _ in range(MAX_OTHERS)]
        for one in opened:
            one[1].write(b"{}\n")
            assert await one[0].readline()
        refused, writer = await asyncio.open_unix_connection(path)
        assert await refused.read() == b""
        writer.close()
        for one in opened:
            one[1].close()
    finally:
        await server.stop()


@pytest.mark.parametrize("gate", [None, admit])
async def test_without_a_group_or_a_gate_nobody_else_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: control.Admit | None
) -> None:
    path = tmp_path / "agent.sock"
    group = None if gate is admit else own_group()
    server = ControlServer(path, {"who": who}, gate, group)
    await server.start()
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        monkeypatch.setattr(control, "is_own", lambda _: False)
        assert await code(path, "sfa_right") == "agent_not_running"
    finally:
        await server.stop()


async def test_a_group_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    server = ControlServer(path, {}, admit, "no-such-group-here")
    with pytest.raises(SecureFlowError) as error:
        await server.start()
    assert error.value.code == "invalid_settings"
    assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o600


# --- time limits, absence, and what the second person sees --------------------------------------


class Hurried(World):
    """An owner who wants decisions within an hour, and is reminded after half of it."""

    @property
    def settings(self):  # type: ignore[no-untyped-def]
        given = super().settings
        consent = given.consent.model_copy(update={"decide_within": 3600, "remind_after": 1800})
        return given.model_copy(update={"consent": consent})


async def test_a_request_expires_and_is_overdue_before(tmp_path: Path) -> None:
    world = Hurried(tmp_path / "agent", policy="")
    team = Team(world)
    asking, item = await waiting_item(world)
    (listed,) = await team.give("inbox.list", user=OWN)
    assert (listed["overdue"], listed["expires"]) == (False, item.at + 3600)
    world.now += 1800
    assert (await team.give("inbox.list", user=OWN))[0]["overdue"]
    world.now += 1799
    assert world.assembly.inbox.get(item.id).state == "waiting"
    world.now += 1
    assert await team.refusal("inbox.approve", user=OWN, item=item.id) == "expired"
    world.assembly.inbox.wake(item.id)  # as the timer would
    with pytest.raises(SecureFlowError) as error:
        await asking
    assert "nobody decided in time" in error.value.message


async def test_the_second_person_sees_who_was_first_and_nothing_that_sways(
    tmp_path: Path,
) -> None:
    text = '@two_people("all") permit(principal, action, resource);'
    world = World(tmp_path / "agent", policy=text)
    team = await Team(world).gather()
    asking, item = await waiting_item(world)
    await team.give("people.absent", "ada", until=world.now + 3600)
    await team.give("inbox.approve", "ben", item=item.id, reason="the board wants it")
    shown = await team.give("inbox.show", "cleo", item=item.id)
    ben = world.assembly.people.named("ben").id
    people = shown["here"]["people"]
    assert people["two_people"] == ["all"]
    assert people["approved"] == [{"id": ben, "name": "ben", "at": world.now, "in_place_of": ""}]
    assert people["can_decide"] == ["ben", "cleo"]  # ada is away, vera decides nothing
    everything = [shown, *(await team.give("log", "cleo")), *await team.give("inbox.list", "cleo")]
    assert "the board wants it" not in str(everything)
    assert (await team.give("inbox.list", "cleo"))[0]["approved_by"] == 1
    await team.give("inbox.approve", "cleo", item=item.id)
    await asking
    shown = await team.give("inbox.show", "cleo", item=item.id)
    assert shown["here"]["people"]["approved"][0]["reason"] == "the board wants it"


async def test_what_a_submitter_asked_before_is_told(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    team = Team(world, ControlSettings())
    asking, first = await waiting_item(world)
    await team.give("inbox.reject", user=OWN, item=first.id, reason="too much")
    await asyncio.gather(asking, return_exceptions=True)
    world.now += 60
    asking, second = await waiting_item(world, world.consent_body(job="job_1111111111"))
    told = (await team.give("inbox.show", user=OWN, item=second.id))["here"]["before"]
    assert (told["jobs"], told["states"]) == (1, {"rejected": 1})
    assert (told["newest"][0]["job"], told["newest"][0]["reason"]) == (first.job, "too much")
    told = (await team.give("inbox.show", user=OWN, item=first.id))["here"]["before"]
    assert told["jobs"] == 0  # what came after it is not before it
    asking.cancel()
