"""Access that has ended, cell by cell: every operation × every way in which access ends.

A token expires, is revoked, or ends with a new password; a session is closed, idle or too old; an
account is disabled or erased; an organisation is disabled. Each was good for everything that its
owner's role allows, and opens nothing afterwards, by whichever operation: also those whose answer
is a stream, a download or a page. Operations that somebody adds are tested without a line here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from secureflow.application.access import Principal
from secureflow.domain.users import Role
from tests.fuzz.callers import SESSION, rows_of
from tests.security.test_authorisation import (  # noqa: F401  fixtures
    OPEN,
    RULES,
    World,
    built,
    world,
)
from tests.stage import PASSWORD, Stage

OWN_PAGE = {"Origin": "https://test"}
TOLERANT = {"logout", "close_session"}
"""What has ended is no error for them (RFC 7009, 2.2)."""
RECORDED = {"pending"}
"""The ledger's entry of a session that is closed once more."""
UNDESCRIBED = {"/api/v1/openapi.json"}


async def bearer(stage: Stage, who: Principal) -> dict[str, str]:
    return {"Authorization": f"Bearer {await stage.bearer(who)}"}


async def cookie(stage: Stage, who: Principal) -> dict[str, str]:
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
    opened = await stage.services.sessions.open(user, method="password", address="10.0.0.1")
    return {"Cookie": f"{SESSION}={opened.text}", **OWN_PAGE}


async def let_in(on: World, shown: dict[str, str]) -> bool:
    answer = await on.api.http.get("/api/v1/me", headers=shown)
    return bool(answer.status_code == 200)


async def expired_token(on: World, who: Principal) -> dict[str, str]:
    shown = await bearer(on.stage, who)
    assert await let_in(on, shown)
    on.stage.now[0] += 3600
    return shown


async def revoked_token(on: World, who: Principal) -> dict[str, str]:
    shown = await bearer(on.stage, who)
    assert await let_in(on, shown)
    await on.stage.services.tokens.logout(shown["Authorization"].removeprefix("Bearer "))
    return shown


async def closed_session(on: World, who: Principal) -> dict[str, str]:
    shown = await cookie(on.stage, who)
    assert await let_in(on, shown)
    await on.stage.services.sessions.close(shown["Cookie"].partition("=")[2])
    return shown


async def idle_session(on: World, who: Principal) -> dict[str, str]:
    shown = await cookie(on.stage, who)
    assert await let_in(on, shown)
    on.stage.now[0] += 1800
    return shown


async def old_session(on: World, who: Principal) -> dict[str, str]:
    shown = await cookie(on.stage, who)
    for _ in range(12 * 3600 // 1200):
        assert await let_in(on, shown)
        on.stage.now[0] += 1200
    return shown


async def disabled_user(on: World, who: Principal) -> dict[str, str]:
    shown = {**await bearer(on.stage, who), **await cookie(on.stage, who)}
    assert await let_in(on, shown)
    await on.stage.services.users.update(on.stage.operator, who.user, disabled=True)
    return shown


async def erased_user(on: World, who: Principal) -> dict[str, str]:
    shown = await bearer(on.stage, who)
    assert await let_in(on, shown)
    await on.stage.services.users.erase(on.stage.operator, who.user)
    return shown


async def disabled_organisation(on: World, who: Principal) -> dict[str, str]:
    shown = await cookie(on.stage, who)
    assert await let_in(on, shown)
    await on.stage.services.organisations.set_disabled(on.stage.operator, "bank-a", True)
    return shown


async def new_password(on: World, who: Principal) -> dict[str, str]:
    stage, use = on.stage, on.stage.services
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    async with use.begin() as work:
        user = await work.users.get(who.user)
        await work.users.save(replace(user, password=quick.hash(PASSWORD)))
        await work.commit()
    shown = await bearer(stage, who)
    assert await let_in(on, shown)
    here = await use.tokens.authenticate(await stage.bearer(who))
    await use.users.change_password(here, PASSWORD, "five quite other words")
    return shown


Ending = Callable[[World, Principal], Awaitable[dict[str, str]]]
ENDINGS: tuple[Ending, ...] = (
    *(expired_token, revoked_token, closed_session, idle_session, old_session, disabled_user),
    *(erased_user, disabled_organisation, new_password),
)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda one: one.__name__)
async def test_what_has_ended_opens_no_operation(world: World, ending: Ending) -> None:  # noqa: F811
    before = world.stage.now[0]
    shown = await ending(world, world.stage.person("bank-a", Role.ORGANISATION_ADMIN))
    tables = world.stage.database.tables
    for operation, (method, path) in world.operations.items():
        if RULES[operation].action == OPEN:
            continue
        path_ = path.replace("{key}", world.key(RULES[operation].noun, "own") or "x")
        answer = await world.api.http.request(method, path_, headers=shown, json={})
        expected = {401, 204} if operation in TOLERANT else {401}
        assert answer.status_code in expected, (operation, answer.status_code, answer.text)
    more = rows_of(world.stage.database.tables)
    assert not {name for name, count in rows_of(tables).items() if more[name] > count} - RECORDED
    world.stage.now[0] = before


async def test_every_route_is_described(world: World) -> None:  # noqa: F811
    """So that each is in the matrix: pages, streams, downloads, health and metrics too."""
    described = {path for _, path in world.operations.values()}
    routes = {getattr(one, "path", "").replace(":path}", "}") for one in world.api.app.routes}
    assert routes - described == UNDESCRIBED
    description = await world.api.http.get("/api/v1/openapi.json")
    assert description.status_code == 200
    for path in ("/docs", "/redoc", "/api/v1/docs", "/openapi.json", "/"):
        assert (await world.api.http.get(path)).status_code == 404, path
