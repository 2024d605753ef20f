"""Erasing who a user is: nothing but the id is left, and the ledger still verifies."""

from __future__ import annotations

from pathlib import Path

import pytest
from argon2 import PasswordHasher

from secureflow.application.access import Principal
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notifications import Preferences
from secureflow.domain.users import Role, User
from secureflow.engines.ledger.merkle import verify_inclusion
from secureflow.engines.ledger.notes import parse_note
from tests.stage import PASSWORD, Stage, two_worlds
from tests.unit.application.refusing import refused

NAME, DISPLAY, HOME = "grace.hopper", "Grace Hopper", "192.0.2.77"
MAIL = "g.h@bank.example"


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = await two_worlds(tmp_path)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    stage.services.logins._passwords._hasher = quick
    return stage


async def grace(stage: Stage) -> User:
    return await stage.services.users.create(
        stage.admin("bank-a"), name=NAME, password=PASSWORD, display=DISPLAY,
        organisation="bank-a", roles=[Role.AUDITOR],
    )  # fmt: skip


async def come_in(stage: Stage) -> tuple[str, str, User]:
    issued = await stage.services.tokens.login(NAME, PASSWORD, HOME)
    opened = await stage.services.sessions.open(issued.user, method="password", address=HOME)
    return issued.text, opened.text, issued.user


def everything(stage: Stage) -> str:
    tables = [vars(one) for rows in stage.database.tables.rows.values() for one in rows.values()]
    return str(tables) + str(stage.database.tables) + str(vars(stage.services.logins))


async def test_nothing_but_the_id_is_left(stage: Stage) -> None:
    made = await grace(stage)
    token, session, user = await come_in(stage)
    async with stage.database.begin() as work:
        await work.idempotency.remember(
            "usr_admin", "k", "r", 201, {"id": user.id, "name": NAME}, 1
        )
        await work.idempotency.remember(user.id, "k", "r", 201, {"display": DISPLAY}, 1)
        await work.idempotency.remember("usr_admin", "other", "r", 201, {"id": "usr_x"}, 1)
        await work.preferences.add(Preferences(user.id, email=MAIL, confirmed=True))
        await work.deliveries.add(
            Delivery("dlv_1", "k", "email", user.id, "bank-a", "agent_revoked", 1, {}, 1, 1)
        )
        await work.commit()
    for known in (NAME, DISPLAY, made.password, HOME, MAIL):
        assert known in everything(stage)
    erased = await stage.services.users.erase(stage.admin("bank-a"), user.id)
    for known in (NAME, DISPLAY, made.password, HOME, MAIL):
        assert known not in everything(stage)
    assert not stage.database.tables.rows["deliveries"]
    assert (erased.id, erased.disabled, erased.erased) == (user.id, True, stage.now[0])
    assert list(stage.database.tables.answers) == [("usr_admin", "other")]
    for use, text in ((stage.services.tokens, token), (stage.services.sessions, session)):
        with refused("unauthenticated"):
            await use.authenticate(text)  # type: ignore[attr-defined]
    with refused("bad_credentials"):
        await stage.services.logins.check(NAME, PASSWORD, HOME)
    with refused("bad_credentials"):
        await stage.services.logins.check(erased.name, "", HOME)


async def test_the_ledger_still_verifies_and_names_the_id_only(stage: Stage) -> None:
    user = await grace(stage)
    await come_in(stage)
    await stage.services.users.erase(stage.operator, user.id)
    own = [one for one in stage.ledger.log if (one.document or {}).get("user") == user.id]
    assert [one.kind for one in own] == [
        *("user.created", "login.accepted", "login.accepted"),
        *("access.ended", "user.erased"),
    ]
    head = parse_note(await stage.ledger.head()).checkpoint
    for entry in own:
        proof = await stage.ledger.inclusion(entry.index, head.size)
        assert verify_inclusion(entry.hash, entry.index, head.size, proof, head.root)
    for known in (NAME, DISPLAY, HOME):
        assert known not in str([(one.document, one.data) for one in stage.ledger.log])


async def test_erasing_is_for_good_and_once(stage: Stage) -> None:
    user, users, admin = await grace(stage), stage.services.users, stage.admin("bank-a")
    await users.erase(admin, user.id)
    size = len(stage.ledger.log)
    await users.erase(admin, user.id)
    assert len(stage.ledger.log) == size
    for change in ({"disabled": False}, {"password": PASSWORD}, {"display": DISPLAY}):
        with refused("user_erased"):
            await users.update(admin, user.id, **change)  # type: ignore[arg-type]
    again = await grace(stage)  # the name is free: another person, another id
    assert again.id != user.id


async def test_nobody_prevents_an_erasure_by_a_name(stage: Stage) -> None:
    """The name that is left is in a form that no account can choose."""
    user = await grace(stage)
    erased = await stage.services.users.erase(stage.operator, user.id)
    with refused("invalid_name"):
        await stage.services.users.create(
            stage.operator, name=erased.name, password=PASSWORD, display="",
            organisation="", roles=[Role.PLATFORM_ADMIN],
        )  # fmt: skip


async def test_who_may_erase_whom(stage: Stage) -> None:
    user, users = await grace(stage), stage.services.users
    for stranger in (stage.admin("bank-b"), stage.admin("outsider")):
        with refused("not_found"):
            await users.erase(stranger, user.id)
    for person in (stage.scientist("bank-a"), stage.owner("bank-a")):
        with refused("forbidden"):
            await users.erase(person, user.id)
    with refused("last_administrator"):
        await users.erase(stage.operator, stage.operator.user)


async def test_who_came_and_went_is_not_for_everybody(stage: Stage) -> None:
    user = await grace(stage)
    await come_in(stage)
    await stage.ledger.caught_up()
    herself = Principal(user.id, NAME, "bank-a", frozenset({Role.DATA_SCIENTIST}), "")

    async def seen(by: Principal) -> int:
        entries = await stage.services.audit.entries(by, limit=500)
        return sum(one.get("kind") == "login.accepted" for one in entries)

    auditor = stage.person("bank-a", Role.AUDITOR)
    for reader in (herself, stage.admin("bank-a"), auditor, stage.operator):
        assert await seen(reader) == 2
    for reader in (stage.scientist("bank-a"), stage.owner("bank-a"), stage.admin("bank-b")):
        assert await seen(reader) == 0
