"""Who used what: from the agent's own record, and compared with what it signed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import Team
from peers.agent_world import JOB, NOW, World

from secureflow.agent.edge.usage import Usage
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import GrantTerms
from tests.unit.agent.test_budgets import world as private
from tests.unit.agent.test_consent import arrived, decide
from tests.unit.agent.test_restored import backed_up, put_back


def report(world: World, dataset: str = "") -> dict[str, Any]:
    return Usage(world.assembly.context).report(dataset)


def granted(world: World) -> str:
    terms = GrantTerms("customers", "prj_0123456789", ("age", "job", "income"), NOW + 10**6)
    return world.assembly.grants.create(terms).id


async def test_a_use_says_who_what_for_and_under_which_approval(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    grant = granted(world)
    await world.admitted()
    await world.round(1)
    (use,) = report(world)["uses"]
    assert (use["job"], use["dataset"], use["requester"]) == (JOB, "customers", "usr_alice")
    assert (use["purpose"], use["kind"]) == ("credit scoring", "training")
    assert use["columns"] == ["age", "job", "income"]
    assert use["approval"].startswith("policy")
    assert use["grant"] == grant
    assert (use["rounds"], use["votes"], use["outcome"]) == (1, 1, "running")
    assert report(world, "patients")["uses"] == []
    assert report(world)["differences"] == []
    await world.assembly.stopping.stop(Cause("grant_revoked", grant))
    (use,) = report(world, "customers")["uses"]
    assert use["outcome"] == "grant_revoked"
    (difference,) = report(world)["differences"]
    assert difference["difference"] == "unproved", "the centre has not got the leaf yet"


async def test_epsilon_is_what_was_charged(tmp_path: Path) -> None:
    world = private(tmp_path / "agent")
    await world.admitted()
    planned = report(world)["uses"][0]["epsilon"]
    assert planned > 0
    await world.round(1)
    await world.assembly.stopping.stop(Cause("project_stopped", "prj_0123456789"))
    spent = report(world)["uses"][0]["epsilon"]
    assert 0 < spent < planned, "one round of three read rows"


async def test_a_job_that_the_ledger_has_and_the_record_lacks(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    copy = backed_up(world)
    await world.admitted()
    leaves = [leaf for leaf in world.store.every_leaf() if leaf.kind == "approval"]
    put_back(world, copy)
    assert report(world) == {"uses": [], "differences": []}
    with world.store.transaction():
        for leaf in leaves:  # as the reconciliation of a restored record does
            world.store.add_leaf(leaf)
    (difference,) = report(world)["differences"]
    assert (difference["job"], difference["difference"]) == (JOB, "ledger_only")
    assert "approval" in difference["message"]


async def test_an_approval_that_nobody_signed(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    await world.admitted()
    job = world.store.job(JOB)
    assert job is not None
    with world.store.transaction():
        world.store._write("DELETE FROM leaves")
    (difference,) = report(world)["differences"]
    assert (difference["job"], difference["difference"]) == (JOB, "record_only")


async def test_a_person_is_named_as_the_approval(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    decide(world, (await arrived(world)).id, "approved", "board 12")
    await asking
    assert report(world)["uses"][0]["approval"] == "a person: board 12"


async def test_reports_are_read_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer who asks again and again takes one thread of the agent's few, and not all."""
    team = await Team(World(tmp_path / "agent", policy="")).gather("ada", "vera")
    reading, most, guard, both = 0, 0, threading.Lock(), threading.Event()

    def report(_: Usage, dataset: str = "") -> dict[str, Any]:
        nonlocal reading, most
        with guard:
            reading += 1
            most = max(most, reading)
            if reading > 1:
                both.set()
        both.wait(0.05)  # until a second one reads, which none does
        with guard:
            reading -= 1
        return {"uses": [], "differences": [], "of": dataset}

    monkeypatch.setattr(Usage, "report", report)
    asked = [team.give("data.usage", "vera", dataset=f"d{number}") for number in range(4)]
    assert [one["of"] for one in await asyncio.gather(*asked)] == ["d0", "d1", "d2", "d3"]
    assert most == 1
