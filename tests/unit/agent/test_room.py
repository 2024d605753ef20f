"""Nothing of a job begins for which there is no room; what has begun goes on to its end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, World
from peers.psi_world import PsiAgentWorld

from secureflow.agent.record.room import describe_room
from secureflow.agent.witness import witness
from secureflow.domain.room import agent_bytes, record_bytes
from secureflow.kit.disk import Place
from secureflow.kit.errors import InfrastructureError, SecureFlowError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent")


def nearly_full(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(Place, "free", lambda _: free)


async def test_a_job_that_does_not_fit_is_not_approved_and_leaves_no_trace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        nearly_full(full, agent_bytes(world.spec))
        with pytest.raises(InfrastructureError) as caught:
            await world.ask("consent", world.consent_body())
    assert caught.value.code == "disk_full"
    assert caught.value.details["needed"] == agent_bytes(world.spec) + record_bytes(world.spec)
    assert world.store.job(JOB) is None
    assert not world.store.actions(job=JOB)
    assert "approval" in await world.ask("consent", world.consent_body())


async def test_an_intersection_needs_room_for_lists_and_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = PsiAgentWorld(tmp_path / "agent")
    needed = 100 * 128 + 64 * 2 * 100  # 100 keys; a row's number and a phone, as often
    assert agent_bytes(place.spec, ME) == agent_bytes(place.spec) + needed
    with monkeypatch.context() as full:
        nearly_full(full, agent_bytes(place.spec) + record_bytes(place.spec))
        with pytest.raises(InfrastructureError) as caught:
            await place.consented()
        assert caught.value.code == "disk_full"
        assert caught.value.details["needed"] == agent_bytes(place.spec, ME) + record_bytes(
            place.spec
        )
    await place.consented()
    with monkeypatch.context() as full:
        nearly_full(full, agent_bytes(place.spec))
        with pytest.raises(InfrastructureError, match="disk_full"):
            await place.offer()
    await place.offer()


async def test_consent_that_waited_for_room_is_not_told_to_have_expired(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {**world.consent_body(), "expires": 1}
    with pytest.raises(SecureFlowError, match="approval_expired"):
        await world.ask("consent", body)
    nearly_full(monkeypatch, 0)
    with pytest.raises(InfrastructureError, match="disk_full"):
        await world.ask("consent", body)


async def test_a_step_waits_and_what_was_begun_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.admitted()
    body = world.train_body()
    train = await world.ask("train", body)
    world.record(train)
    with monkeypatch.context() as full:
        nearly_full(full, 0)
        assert (await world.ask("close", world.close_body(body)))["vote"]
        with pytest.raises(InfrastructureError, match="disk_full"):
            await world.ask("train", body)
    assert (await world.ask("train", body))["leaf"] == train["leaf"]


async def test_files_that_another_request_removes_are_in_nobodys_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.admitted()
    folder = world.settings.models / JOB
    folder.mkdir(parents=True, exist_ok=True)
    looked, real = set[str](), Path.stat

    def stat(path: Path, **options: Any) -> Any:
        if path.parent == folder:
            looked.add(path.name)
        if path.name == "gone":
            path.unlink(missing_ok=True)
        found = real(path, **options)
        if path.name == "going":
            path.unlink(missing_ok=True)
        return found

    for name in ("gone", "going"):
        (folder / name).write_bytes(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        world.assembly.agent._room.for_step(JOB)
    assert looked >= {"gone", "going"}
    assert not list(folder.iterdir())


async def test_an_alarm_does_not_depend_on_room_for_its_evidence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(witness.Path, "write_text", full)
    error = SecureFlowError(
        "ledger_inconsistent", "two histories", "", {"known": "a", "shown": "b"}
    )
    world.assembly.context.witness._evidence.keep(error, world.log_key.public)
    alarm = world.store.fact("alarm")
    assert alarm["code"] == "ledger_inconsistent"
    assert (alarm["details"]["known"], alarm["details"]["shown"]) == ("a", "b")


def put_a_file(folder: Path) -> None:
    folder.write_text("")


@pytest.mark.parametrize("instead", [None, put_a_file], ids=["gone", "a file"])
async def test_a_round_waits_while_the_folder_of_models_is_away(
    world: World, instead: Callable[[Path], None] | None
) -> None:
    """A volume that is not mounted, say: it is put back, and the round goes on."""
    await world.admitted()
    await world.round(1)
    body, models = world.train_body(2), world.settings.models
    aside = models.with_name("aside")
    models.rename(aside)
    if instead:
        instead(models)
    world.settings.socket.touch()  # it runs
    for ask in (lambda: world.ask("train", body), lambda: asyncio.to_thread(doctor, world)):
        with pytest.raises(InfrastructureError) as caught:
            await ask()
        assert caught.value.code == "disk_failed"
        assert ME in caught.value.message
        assert caught.value.details == {"part": "model files"}
        assert str(models) in caught.value.hint
    if instead:
        models.unlink()
    assert not models.exists(), "it is not made anew: what it holds would be missed"
    aside.rename(models)
    assert doctor(world)
    await world.ask("train", body)


async def test_what_fails_while_the_folder_of_models_goes_away_is_tried_again(
    world: World,
) -> None:
    await world.admitted()
    compute, models = world.worker.compute, world.settings.models

    async def losing(job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        answer = await compute(job, step, arguments)
        shutil.rmtree(models)
        return answer

    world.worker.compute = losing  # type: ignore[method-assign]
    body = world.train_body()
    with pytest.raises(InfrastructureError, match="disk_failed"):
        await world.ask("train", body)
    world.worker.compute = compute  # type: ignore[method-assign]
    models.mkdir()
    await world.ask("train", body)


async def test_a_folder_of_models_that_this_user_may_not_write_in_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.admitted()
    with monkeypatch.context() as denied:
        denied.setattr(os, "access", lambda *_: False)
        with pytest.raises(InfrastructureError, match="disk_failed"):
            await world.ask("train", world.train_body())
        with pytest.raises(InfrastructureError, match="disk_failed"):
            doctor(world)


def test_an_agent_that_never_started_has_no_such_folder_yet(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    world.settings.models.rmdir()
    assert doctor(world)


def doctor(world: World) -> str:
    return describe_room(world.settings)
