"""Who moves signed times around: a centre, and a member that colludes with it or does not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from peers.revenue_world import BANKS, DAY, LOG, NOW, PROJECT, RevenueWorld

from secureflow.agent.edge.revenuecommands import MAX_DEEDS
from secureflow.application.settlements import MAX_OWN
from secureflow.engines.anchors.entries import Split
from secureflow.engines.revenue.agreement import MAX_MEMBERS
from secureflow.engines.revenue.deeds import CENTRE, Act, Deed, parse_deed
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


@pytest.fixture(name="world")
async def _world(tmp_path: Path) -> AsyncIterator[RevenueWorld]:
    world = await RevenueWorld(tmp_path).start()
    yield world
    world.close()


def computed_of(world: RevenueWorld) -> str:
    rows = world.database.tables.rows["revenue"].values()
    deeds = [parse_deed(one.body) for one in rows if one.kind == "deed"]
    (computed,) = {one.facts["computed"] for one in deeds if "computed" in one.facts}
    return str(computed)


def deed(
    act: Act, key: str, who: str, at: int, signer: SigningKey | None = None, **facts: Any
) -> Deed:
    by = signer or (LOG if who == CENTRE else BANKS[who])
    return Deed(act, PROJECT, key, who, at, facts).sign(by)


def showing(key: str, *deeds: Deed) -> Callable[[str, Any, Any], Any]:
    """Return a centre that shows these deeds as well."""

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind != "settlement.get" or asked["settlement"] != key or asked["start"]:
            return answer
        more = [*answer["deeds"], *({"deed": one.json(), "receipt": {}} for one in deeds)]
        return answer | {"deeds": more, "count": len(more)}

    return twist


async def test_a_close_that_is_dated_ahead_closes_nothing_now(world: RevenueWorld) -> None:
    key = await world.approved()
    ahead = deed("close", key, CENTRE, NOW + 30 * DAY + 7200, computed=computed_of(world))
    world.twist_all(showing(key, ahead))
    bank = world.banks["bank-b"]
    assert await bank.state(key) == "approved"
    await bank.commands.exchange()
    assert not [one for one in bank.sent if isinstance(one, Split)]
    # The window is as long as it was: a dispute within it counts, and convicts that date.
    with pytest.raises(SecureFlowError, match="settlement_closed_early"):
        await bank.commands.dispute(key, "rows")
    assert world.deeds(key)["dispute"] == 1
    world.twist_all(lambda kind, asked, answer: answer)
    assert await bank.state(key) == "disputed"


async def test_a_members_deed_that_is_dated_ahead_shortens_nobodys_window(
    world: RevenueWorld,
) -> None:
    key = await world.approved()
    far = deed("accuse", key, "bank-d", 2**52, code="x", evidence="ab" * 32)
    world.twist_all(showing(key, far))
    bank = world.banks["bank-b"]
    told: Any = await bank.commands.dispute(key, "rows")
    assert told["state"] == "disputed"
    assert told["deed"]["statement"]["at"] == NOW


async def test_an_approval_of_long_ago_does_not_begin_a_window(world: RevenueWorld) -> None:
    key = await world.approved(("bank-b", "bank-c"))
    world.later(31 * DAY)
    late = deed("approve", key, "bank-a", NOW, computed=computed_of(world))
    with pytest.raises(SecureFlowError, match="settlement_not_possible"):
        await world.settlements.tell("bank-a", late.json())
    assert world.deeds(key) == {"approve": 2}
    near = deed(
        "approve", key, "bank-a", world.now[0] - MAX_SKEW, computed=computed_of(world)
    )  # clocks differ
    await world.settlements.tell("bank-a", near.json())
    assert await world.banks["bank-d"].state(key) == "approved"


async def test_an_own_approval_that_was_long_on_its_way_is_signed_again(
    world: RevenueWorld,
) -> None:
    key = await world.approved(("bank-b", "bank-c"))
    bank = world.banks["bank-a"]
    shown: Any = await bank.commands.show(key)
    bank.hands.down = True
    with pytest.raises(SecureFlowError):
        await bank.commands.approve(key, shown["digest"])
    # Its deed is signed and kept, as by an agent that was killed before it told it.
    judged = bank.own.judge(PROJECT, ())
    assert judged == {}
    bank.hands.down = False
    real = bank.hands.call

    async def lost(kind: str, body: dict[str, Any]) -> Any:
        bank.hands.down = kind == "settlement.tell"
        return await real(kind, body)

    bank.hands.call = lost  # type: ignore[method-assign]
    with pytest.raises(SecureFlowError):
        await bank.commands.approve(key, shown["digest"])
    bank.hands.call, bank.hands.down = real, False  # type: ignore[method-assign]
    world.later(DAY)
    await bank.commands.exchange()
    assert world.deeds(key) == {"approve": 2}
    assert (await bank.commands.approve(key, shown["digest"]))["state"] == "approved"


async def test_a_centre_and_a_payer_that_date_back_are_accused(world: RevenueWorld) -> None:
    """They wait with the deciding approval until the window by its false date is over."""
    key = await world.approved(("bank-b", "bank-c"))
    victim = world.banks["bank-d"]
    world.later(31 * DAY)
    assert await victim.state(key) == "open"
    computed = computed_of(world)
    back = deed("approve", key, "bank-a", NOW, computed=computed)
    close = deed("close", key, CENTRE, world.now[0], computed=computed)
    world.later(60)
    world.twist_all(showing(key, back, close))
    with pytest.raises(SecureFlowError, match="settlement_closed_early"):
        await victim.commands.every(PROJECT)
    kept = [json.loads(one.read_text())["code"] for one in victim.evidence()]
    assert kept == ["settlement_closed_early"]


async def test_an_agent_that_was_away_accuses_nobody(world: RevenueWorld) -> None:
    key = await world.open()
    away = world.banks["bank-d"]
    assert await away.state(key) == "open"
    for name in ("bank-a", "bank-b", "bank-c"):
        await world.banks[name].approve(key)
    world.later(31 * DAY)
    await world.settlements.close(world.admin, key)
    world.later(DAY)
    assert await away.state(key) == "closed"
    assert away.evidence() == []


async def test_a_record_that_the_centre_withholds_does_not_prevent_a_dispute(
    world: RevenueWorld,
) -> None:
    key = await world.approved(("bank-a", "bank-b", "bank-c"))
    bank = world.banks["bank-d"]

    def twist(kind: str, asked: Any, answer: Any) -> Any:
        if kind == "settlement.record":
            raise SecureFlowError("not_found", "There is no such job.")
        return answer

    bank.hands.twist = twist
    assert (await bank.commands.dispute(key, "no record"))["state"] == "disputed"


@pytest.mark.parametrize("code", ["link_broken", "internal", "unavailable"])
async def test_a_deed_whose_answer_was_lost_is_told_again_as_it_was(
    world: RevenueWorld, code: str
) -> None:
    """A link says `link_broken`: that is no refusal, and the centre may have the deed."""
    key = await world.open()
    bank = world.banks["bank-b"]
    shown: Any = await bank.commands.show(key)
    real = bank.hands.call

    async def lost(kind: str, body: dict[str, Any]) -> Any:
        answer = await real(kind, body)
        if kind == "settlement.tell":
            raise SecureFlowError(code, "The answer was lost.")
        return answer

    bank.hands.call = lost  # type: ignore[method-assign]
    with pytest.raises(SecureFlowError, match=code):
        await bank.commands.approve(key, shown["digest"])
    bank.hands.call = real  # type: ignore[method-assign]
    world.later(60)
    await bank.commands.exchange()
    assert world.deeds(key) == {"approve": 1}
    kept = bank.own.shelf.get(key)
    assert kept is not None
    assert (kept.untold, dict(kept.refused)) == ([], {})
    assert bank.sent  # it goes to the places, too


async def test_nobody_fills_a_settlement_so_that_others_are_not_heard(world: RevenueWorld) -> None:
    key = await world.approved(("bank-a", "bank-b", "bank-c"))
    for at in range(MAX_OWN["accuse"]):
        flood = deed("accuse", key, "bank-c", NOW, code=f"x{at}", evidence="ab" * 32)
        await world.settlements.tell("bank-c", flood.json())
    more = deed("accuse", key, "bank-c", NOW, code="more", evidence="ab" * 32)
    with pytest.raises(SecureFlowError, match="settlement_not_possible"):
        await world.settlements.tell("bank-c", more.json())
    bank = world.banks["bank-d"]
    assert (await bank.commands.dispute(key, "rows"))["state"] == "disputed"
    other = deed("accuse", key, "bank-b", NOW, code="more", evidence="ab" * 32)
    await world.settlements.tell("bank-b", other.json())


def test_what_members_may_sign_is_what_an_agent_reads() -> None:
    once = 3  # approve, dispute, withdraw
    most = MAX_MEMBERS * (once + MAX_OWN["accuse"]) + 2 * MAX_OWN["pay"] + 1
    assert most <= MAX_DEEDS
