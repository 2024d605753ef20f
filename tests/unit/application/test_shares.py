"""Strangers fill nothing that others need: they begin 10,000 logins, and an honest one ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from peers.believing import BelievingProvider

from secureflow.application.identities import LoginProvider
from secureflow.application.oidc import Callback
from secureflow.application.shares import Share, make_room
from secureflow.domain.logins import Device
from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.users import Role
from secureflow.kit.addresses import block_of, source_of
from tests.doubles import MemoryStore
from tests.stage import Stage
from tests.unit.application.refusing import refused

SMALL = Share(block=5, total=30)
STARTS = 300
HONEST = "198.51.100.7"


def strangers(count: int = STARTS, sites: int = 20) -> Iterator[str]:
    """Yield the sources of many subscribers in a few sites: as limits count them, /64 by /64."""
    for number in range(count):
        yield source_of(f"2001:db8:{number % sites:x}:{number // sites:x}::1")


async def test_a_device_is_logged_in_while_strangers_begin_as_many_as_they_can(
    stage: Stage,
) -> None:
    use = stage.services.devices
    use.share = SMALL
    honest = await use.start("cli", HONEST)
    for source in strangers():
        stage.ticks[0] += 1
        await use.start("cli", source)
    rows = stage.database.tables.rows["devices"].values()
    assert len(rows) == SMALL.total
    another = await use.start("cli", HONEST)
    who = stage.scientist("bank-a")
    for asked in (honest, another):
        await use.decide(who, asked.code, HONEST, approve=True)
        assert (await use.poll(asked.secret)).user.id == who.user


async def test_a_login_at_a_provider_ends_while_strangers_begin_as_many_as_they_can(
    stage: Stage,
) -> None:
    use, port = stage.services.oidc, BelievingProvider()
    mapping = ClaimMapping(organisation="bank-a", roles=(Role.DATA_SCIENTIST,))
    use.identities.providers = {port.name: LoginProvider(port, mapping, True)}
    use.share = SMALL
    honest = await use.start("sso", "/", HONEST)
    request = port.requests[-1]
    for source in strangers():
        stage.ticks[0] += 1
        await use.start("sso", "/", source)
    assert len(stage.database.tables.rows["pending_logins"]) == SMALL.total
    port.requests.append(request)
    state = honest.location.partition("state=")[2]
    finished = await use.finish("sso", Callback(state, "code", browser=honest.browser), HONEST)
    assert finished.opened is not None


async def test_ten_thousand_strangers_push_out_each_other() -> None:
    rows: dict[str, Any] = {}
    store, share = MemoryStore("devices", rows), Share(5, 20)

    async def begin(key: str, source: str, now: int) -> None:
        block = block_of(source)
        await make_room(store, block, now, share)
        await store.add(Device(key, key, key, "cli", source, now, now + 10_000, block=block))

    await begin("honest", HONEST, 0)
    for number, source in enumerate(strangers(10_000, sites=8)):
        await begin(f"dev_{number}", source, number)
    assert "honest" in rows
    assert len(rows) == share.total
    assert max(Counter(one.block for one in rows.values()).values()) <= 3


async def test_a_network_pushes_out_its_own_oldest_only(stage: Stage) -> None:
    use = stage.services.devices
    use.share = SMALL
    mine = [await use.start("cli", HONEST) for _ in range(SMALL.block)]
    elsewhere = await use.start("cli", "198.51.100.8")
    stage.now[0] += 1
    await use.start("cli", HONEST)
    codes = {one.code for one in stage.database.tables.rows["devices"].values()}
    kept = [use._digest(one.code.replace("-", "")) in codes for one in (*mine, elsewhere)]
    assert kept.count(False) == 1
    assert kept[-1]


async def test_one_site_is_slowed_down(stage: Stage) -> None:
    """Whoever has a /48 has 65,536 /64s: they count together."""
    use = stage.services.devices
    for number in range(60):
        await use.start("cli", source_of(f"2001:db8:1:{number:x}::3"))
    with refused("rate_limited"):
        await use.start("cli", source_of("2001:db8:1:ffff::3"))
    await use.start("cli", source_of("2001:db8:2:1::3"))
