"""What the owner's page asks beyond the command line: one dataset whole, a page of the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.agent_people import Team
from peers.agent_world import JOB, World

from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_budgets import world as private


async def test_a_dataset_is_told_whole_and_nothing_that_stays_secret(tmp_path: Path) -> None:
    world = private(tmp_path / "agent")
    team = await Team(world).gather("ada", "vera")
    shown = await team.give("data.show", "vera", name="customers")
    assert [one["name"] for one in shown["schema"]] == ["age", "job", "income"]
    assert shown["columns"] == 3
    assert {one["name"] for one in shown["schema"] if one["sensitive"]} == {"job"}
    assert shown["state"] == "published"
    assert shown["privacy"]["domain"]
    kept = world.store.fact("dataset/customers")
    assert kept
    assert kept["salt"] not in str(shown)
    assert await team.refusal("data.show", "vera", name="other") == "dataset_unknown"


async def test_the_log_is_read_a_page_at_a_time_and_by_names(tmp_path: Path) -> None:
    team = await Team(World(tmp_path / "agent", policy="")).gather("ada", "vera")
    every = await team.give("log", "vera")
    newest = await team.give("log", "vera", limit=2)
    assert newest == every[:2]
    older = await team.give("log", "vera", limit=2, before=newest[-1]["id"])
    assert older == every[2:4]
    logins = await team.give("log", "vera", names=["person.login"])
    assert logins == [one for one in every if one["action"] == "person.login"]
    both = await team.give("log", "vera", names=["person.login"], before=logins[0]["id"])
    assert both == logins[1:]
    assert await team.give("log", "vera", names=["'; DROP TABLE deeds; --"]) == []
    assert len(await team.give("log", "vera", limit=-1)) == 1
    with pytest.raises(SecureFlowError, match="before"):
        await team.give("log", "vera", before="1")


async def test_running_uses_alone_are_told_without_a_comparison(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    team = await Team(world).gather("ada", "vera")
    await world.admitted()
    running = await team.give("data.usage", "vera", running=True)
    assert [one["job"] for one in running["uses"]] == [JOB]
    assert "differences" not in running
    assert (await team.give("data.usage", "vera", running=True, dataset="other"))["uses"] == []
    await team.give("project.freeze", "ada", project="prj_0123456789")
    assert (await team.give("data.usage", "vera", running=True))["uses"] == []


async def test_what_is_only_reserved_is_not_committed(tmp_path: Path) -> None:
    world = private(tmp_path / "agent")
    team = await Team(world).gather("ada", "vera")
    await world.admitted()
    (before,) = await team.give("data.budget", "vera", exact=False)
    assert before["committed"] == 0.0 < before["spent"]
    await world.round(1)
    (after,) = await team.give("data.budget", "vera", exact=False)
    assert 0.0 < after["committed"] <= after["spent"]
