"""What a centre hands over under another name than it has: settlements, deeds, records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers.revenue_world import BANKS, DAY, JOB, NOW, PROJECT, RevenueWorld

from secureflow.agent.record.records import JobRecord
from secureflow.engines.revenue.deeds import Deed, parse_deed
from secureflow.engines.revenue.settlement import Settlement
from secureflow.kit.errors import SecureFlowError


@pytest.fixture(name="world")
async def _world(tmp_path: Path) -> AsyncIterator[RevenueWorld]:
    world = await RevenueWorld(tmp_path).start()
    yield world
    world.close()


async def test_another_settlement_under_an_id_is_refused(world: RevenueWorld) -> None:
    first = await world.approved(("bank-c",))
    second = await world.open(replaces=first)
    real = world.banks["bank-b"].hands.call

    async def call(kind: str, body: dict[str, Any]) -> Any:
        if kind == "settlement.get":
            body = body | {"settlement": second}
        return await real(kind, body)

    world.banks["bank-b"].hands.call = call  # type: ignore[method-assign]
    with pytest.raises(SecureFlowError, match="malformed_settlement"):
        await world.banks["bank-b"].commands.every(PROJECT)


async def test_a_deed_under_a_settlement_that_it_is_not_of_is_refused(world: RevenueWorld) -> None:
    first = await world.approved(("bank-c",))
    second = await world.open(replaces=first)
    (deed,) = [
        parse_deed(one.body)
        for one in world.database.tables.rows["revenue"].values()
        if one.kind == "deed"
    ]

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind == "settlement.get" and asked["settlement"] == second:
            return answer | {"deeds": [{"deed": deed.json(), "receipt": {}}], "count": 1}
        return answer

    world.banks["bank-b"].hands.twist = twist
    with pytest.raises(SecureFlowError, match="malformed_settlement"):
        await world.banks["bank-b"].commands.every(PROJECT)


async def test_an_own_deed_that_was_never_signed_is_not_taken_into_the_record(
    world: RevenueWorld,
) -> None:
    """A restored record takes its own deeds from the centre: only genuine ones."""
    key = await world.open()
    bank = world.banks["bank-b"]
    made = Deed("approve", PROJECT, key, "bank-b", NOW, {"computed": "ab" * 32})
    forged = made.sign(BANKS["bank-c"])

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind != "settlement.get":
            return answer
        return answer | {"deeds": [{"deed": forged.json(), "receipt": {}}], "count": 1}

    bank.hands.twist = twist
    with pytest.raises(SecureFlowError, match="settlement_deed_forged"):
        await bank.commands.every(PROJECT)
    kept = bank.own.shelf.get(key)
    assert kept is None or [one.act for one in kept.deeds] == ["accuse"]
    bank.hands.twist = lambda kind, asked, answer: answer
    assert (await bank.approve(key))["state"] == "open"


async def test_the_record_of_another_job_or_spec_is_refused(world: RevenueWorld) -> None:
    key = await world.open()
    bank = world.banks["bank-b"]
    record = world.audit.bundles[JOB]
    wanted: list[str] = []

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind == "settlement.record":
            wanted.append(asked["job"])
        if kind == "settlement.get":  # a settlement of a job whose record is another one's
            value = answer["settlement"] | {"jobs": ["job_other"]}
            return answer | {"settlement": value}
        if kind == "settlement.list":
            return {"settlements": [other.id]}
        return answer

    shown = await world.settlements.show(world.admin, key)
    other = Settlement.from_json(shown.stored.settlement.json() | {"jobs": ["job_other"]})
    world.audit.bundles["job_other"] = record
    real = bank.hands.call

    async def call(kind: str, body: dict[str, Any]) -> Any:
        return await real(kind, body | ({"settlement": key} if "settlement" in body else {}))

    bank.hands.twist, bank.hands.call = twist, call  # type: ignore[method-assign]
    with pytest.raises(SecureFlowError, match="settlement_altered"):
        await bank.commands.show(other.id, PROJECT)
    assert wanted
    assert set(wanted) == {"job_other"}
    bank.hands.twist = lambda kind, asked, answer: answer
    bank.hands.call = real  # type: ignore[method-assign]
    with bank.store.transaction():  # it approved another spec of this job
        bank.store.add_job(JobRecord(JOB, "ab" * 32, {}, bytes(32), NOW, NOW + DAY))
    with pytest.raises(SecureFlowError, match="evidence_not_verified"):
        await bank.commands.show(key)


async def test_what_replaces_a_closed_settlement_is_not_approved(world: RevenueWorld) -> None:
    """A job is paid once: also where the centre shows what an honest one would have refused."""
    first = await world.approved()
    preview = await world.settlements.preview(world.admin, PROJECT, [JOB], replaces=first)
    second = preview.stored.settlement
    world.later(31 * DAY)
    await world.settlements.close(world.admin, first)
    bank = world.banks["bank-b"]
    real = bank.hands.call

    async def call(kind: str, body: dict[str, Any]) -> Any:
        if kind == "settlement.list":
            return {"settlements": [first, second.id]}
        if body.get("settlement") == second.id:
            computed = preview.stored.computed.digest
            return {"settlement": second.json(), "computed": computed, "deeds": [], "count": 0}
        return await real(kind, body)

    bank.hands.call = call  # type: ignore[method-assign]
    with pytest.raises(SecureFlowError, match="settlement_not_possible"):
        await bank.commands.approve(second.id, preview.stored.computed.digest)


async def test_of_two_settlements_of_a_job_at_once_one_is_opened(world: RevenueWorld) -> None:
    """Both previews are made before either is stored."""
    ready, real = asyncio.Barrier(2), world.settlements.preview

    async def together(*args: Any) -> Any:
        shown = await real(*args)
        await ready.wait()
        return shown

    world.settlements.preview = together  # type: ignore[method-assign]
    told = await asyncio.gather(world.open(), world.open(entered=7), return_exceptions=True)
    assert sorted(type(one).__name__ for one in told) == ["SecureFlowError", "str"]
