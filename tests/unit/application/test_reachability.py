"""Two servers on one database: whoever submits where the agents are not is told so, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.application.jobs.reachability import absence_notes
from secureflow.application.ports.courier import PartyStatus
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.kit.errors import InfrastructureError
from tests.doubles import MemoryUnit
from tests.stage import BANKS, FEATURES, Stage, empty_stage, populated
from tests.unit.application.refusing import refused

HERE, THERE = "host-1:8444", "host-2:8444"


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Stage, Stage]:
    """Return two servers on one database: the banks' agents dialled the first."""
    first = await populated(empty_stage(tmp_path, server=HERE))
    (tmp_path / "second").mkdir()
    second = empty_stage(
        tmp_path / "second",
        database=first.database,
        ledger=first.ledger,
        server=THERE,
        others=[HERE],
    )
    second.people, second.ids, second.keys = first.people, first.ids, first.keys
    for bank in BANKS:
        await dial(first, bank)
    linked = dict.fromkeys(BANKS, True)
    monkeypatch.setattr(
        first.services.courier, "status", lambda one: PartyStatus(one, one in linked, 0.0)
    )
    return first, second


async def dial(stage: Stage, bank: str, key: str = "") -> None:
    await stage.services.organisations.arrived(stage.ids[f"{bank}.agent"], key, "10.0.0.9:1")


async def links_of(stage: Stage) -> Sequence[PartyStatus]:
    return await stage.services.organisations.parties(stage.operator, stage.services.courier)


def masked(stage: Stage) -> dict[str, object]:
    return {"parts": {"features": FEATURES, "protection": "secagg"}}


async def test_the_submitter_is_told_where_the_agents_are(both: tuple[Stage, Stage]) -> None:
    first, second = both
    scientist = second.scientist("bank-a")
    dry = await second.services.jobs.dry_run(scientist, second.wanted(**masked(second)))
    assert [note for note in dry.notes if "has no link to this server" in note] == [
        f"{bank} has no link to this server: it is connected to the server {HERE}. A job that is "
        "submitted here waits for it; submit it at that server."
        for bank in BANKS
    ]
    job = await second.services.jobs.submit(scientist, second.wanted(**masked(second)))
    assert job.progress["absent"] == dict.fromkeys(BANKS, HERE)
    assert (await second.services.jobs.get(scientist, job.id)).progress == job.progress
    there = await first.services.jobs.get(scientist, job.id)
    assert "absent" not in there.progress  # nobody is missing there
    async with second.database.begin() as work:  # and nothing of it is stored
        assert "absent" not in (await work.jobs.get(job.id)).progress


async def test_an_ended_job_misses_nobody(both: tuple[Stage, Stage]) -> None:
    _, second = both
    scientist = second.scientist("bank-a")
    job = await second.services.jobs.submit(scientist, second.wanted(**masked(second)))
    await second.finish(replace(job, progress={}), state=JobState.CANCELLED)
    assert "absent" not in (await second.services.jobs.get(scientist, job.id)).progress


async def test_a_party_that_is_off_is_told_without_another_server(
    both: tuple[Stage, Stage],
) -> None:
    first, second = both
    await dial(second, "bank-b")  # it moved here, and is off now
    scientist = second.scientist("bank-a")
    job = await second.services.jobs.submit(scientist, second.wanted())
    absent = {"bank-a": HERE, "bank-b": "", "bank-c": HERE, "enclave": ""}
    assert job.progress["absent"] == absent
    assert list(absence_notes({"bank-b": ""})) == [
        (
            "bank-b has no link to this server. A job waits for its consent until it connects; "
            "once it runs, it waits only for the `patience_seconds` of its spec."
        )
    ]
    links = await links_of(second)
    assert {link.party: link.server for link in links if link.party in BANKS} == {
        "bank-a": HERE, "bank-b": "", "bank-c": HERE
    }  # fmt: skip
    assert {link.server for link in await links_of(first)} == {""}


async def test_a_server_that_is_no_more_is_not_named(
    both: tuple[Stage, Stage], tmp_path: Path
) -> None:
    """The one server was moved, or its container made anew: nobody can submit at the old one."""
    first, _ = both
    (tmp_path / "moved").mkdir()
    moved = empty_stage(
        tmp_path / "moved", database=first.database, ledger=first.ledger, server=THERE
    )
    moved.people, moved.ids = first.people, first.ids
    job = await moved.services.jobs.submit(moved.scientist("bank-a"), moved.wanted())
    assert job.progress["absent"] == dict.fromkeys([*BANKS, "enclave"], "")
    assert {link.server for link in await links_of(moved)} == {""}


async def test_a_database_that_cannot_write_cuts_nobody_off(
    both: tuple[Stage, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = both

    async def full(self: MemoryUnit) -> None:
        raise InfrastructureError("disk_full", "full")

    monkeypatch.setattr(MemoryUnit, "commit", full)
    await dial(second, "bank-a")


async def test_who_is_shut_out_or_of_another_key_leaves_no_trace(
    both: tuple[Stage, Stage],
) -> None:
    _, second = both
    with refused("key_mismatch", "bank-a"):
        await dial(second, "bank-a", "another key")
    organisations = second.services.organisations
    await organisations.revoke(second.person("", Role.PLATFORM_ADMIN), second.ids["bank-b.agent"])
    with refused("certificate_revoked", "bank-b"):
        await dial(second, "bank-b")
    async with second.database.begin() as work:
        agents = [await work.agents.get(second.ids[f"{bank}.agent"]) for bank in BANKS[:2]]
    assert [agent.server for agent in agents] == [HERE, HERE]
    assert {agent.address for agent in agents} == {""}  # an agent's is nobody's business
