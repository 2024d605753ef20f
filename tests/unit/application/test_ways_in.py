"""Whose account gets another way in is told, whatever they silence; and from where it is new."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.access import Principal
from secureflow.application.loginplaces import MOST
from secureflow.application.mailcodes import CONFIRM, MailCodes
from secureflow.application.notifications import Notifications
from secureflow.application.passwords import Passwords
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import Preferences
from secureflow.domain.users import User
from secureflow.kit import totp
from tests.stage import PASSWORD, Stage
from tests.unit.application.test_notifying import inbox, kinds

HOME, NEXT_DOOR, AWAY = "192.0.2.10", "192.0.2.99", "203.0.113.5"


@pytest.fixture
async def begun(stage: Stage) -> Stage:
    await stage.services.notices.notifying.poll()
    return stage


async def account(stage: Stage, who: Principal) -> User:
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
        new = replace(user, password=await Passwords().hash(PASSWORD))
        await work.users.save(new)
        await work.commit()
    return new


async def told(stage: Stage, who: Principal, kind: str) -> list[dict[str, str | int]]:
    await stage.ledger.caught_up()
    return [one.facts for one in await inbox(stage, who) if one.kind == kind]


async def test_every_way_into_an_account_is_told_to_its_owner(begun: Stage) -> None:
    use, who, other = begun.services, begun.scientist("bank-a"), begun.owner("bank-a")
    user = await account(begun, who)
    made = await use.refreshing.begin(user, "password")
    mine = await use.tokens.authenticate(made.text)
    await use.notifications.prefer(mine, silenced=list(KINDS))
    await use.tokens.create(mine, "program", 3600)
    asked = await use.devices.start("cli", HOME)
    await use.devices.decide(mine, asked.code, HOME, approve=True)
    await use.second_factors.enrol(mine)
    secret = use.second_factors._open(begun.database.tables.rows["second_factors"][who.user])
    (spare, *_) = await use.second_factors.confirm(mine, totp.code_at(secret, begun.now[0]))
    await use.second_factors.remove(mine, spare)
    await use.users.change_password(mine, PASSWORD, "another long secret")
    what = {one["what"] for one in await told(begun, who, "account_entered")}
    factors = {"second-factor", "second-factor-removed"}
    assert what == {"personal-token", "device", "password", *factors}
    assert await told(begun, other, "account_entered") == []


async def test_a_login_from_a_new_place_is_told_once(begun: Stage) -> None:
    use, who = begun.services, begun.scientist("bank-a")
    user = await account(begun, who)

    async def login(address: str, client: str = "firefox") -> list[dict[str, str | int]]:
        await use.sessions.open(user, method="password", address=address, client=client)
        return await told(begun, who, "login_from_new_place")

    assert await login(HOME) == []  # the first one of all
    assert await login(NEXT_DOOR) == []  # the same network
    (news,) = await login(AWAY)
    assert (news["user"], news["method"]) == (who.user, "password")
    assert news["login"] in begun.database.tables.rows["sessions"]
    assert len(await login(AWAY)) == 1
    assert len(await login(HOME, "curl")) == 2
    await use.refreshing.begin(user, "password", "2001:db8:1:2::/64", "secureflow")
    await use.refreshing.begin(user, "password", "2001:db8:1:3::/64", "secureflow")
    assert len(await told(begun, who, "login_from_new_place")) == 3
    await use.tokens.login(who.name, PASSWORD, "198.51.100.1", client="secureflow")
    assert len(await told(begun, who, "login_from_new_place")) == 4


async def test_neither_record_nor_rows_say_from_where(begun: Stage) -> None:
    use, who = begun.services, begun.scientist("bank-a")
    user = await account(begun, who)
    for number in range(MOST + 5):
        await use.sessions.open(
            user, method="password", address=f"203.0.{number}.7", client="firefox"
        )
    row = begun.database.tables.rows["login_places"][who.user]
    assert len(row.seen) == MOST
    await begun.ledger.caught_up()
    for said in (str(vars(row)), str([one.document for one in begun.ledger.log])):
        assert "203.0" not in said
        assert "firefox" not in said
    await use.users.erase(begun.admin("bank-a"), who.user)
    assert who.user not in begun.database.tables.rows["login_places"]


async def test_a_password_that_somebody_knows_is_told(begun: Stage) -> None:
    use, who = begun.services, begun.scientist("bank-a")
    user = await account(begun, who)
    use.failed_logins.count(user, coded=True)
    use.failed_logins.count(user)
    await use.failed_logins.flush()
    assert await told(begun, who, "password_known") == [{"user": who.user, "count": 1}]
    use.failed_logins.count(user)
    await use.failed_logins.flush()
    assert len(await told(begun, who, "password_known")) == 1


async def test_administrators_are_told_what_others_do_to_their_people(begun: Stage) -> None:
    use, who, admin = begun.services, begun.scientist("bank-a"), begun.admin("bank-a")
    await use.users.update(begun.operator, who.user, display="Ada")
    await use.users.update(admin, who.user, display="Ada L")
    (change,) = await told(begun, admin, "people_changed")
    assert change == {
        **{"user": who.user, "organisation": "bank-a"},
        **{"by": begun.operator.user, "what": "account"},
    }
    assert await kinds(begun, begun.owner("bank-a")) == []
    assert await kinds(begun, begun.admin("bank-b")) == []
    await use.users.erase(begun.operator, who.user)
    assert [one["what"] for one in await told(begun, admin, "people_changed")] == [
        "erasure",
        "account",
    ]


async def test_the_address_until_now_is_told_of_another_one(begun: Stage) -> None:
    who, codes = begun.scientist("bank-a"), MailCodes(bytes(32))
    use = Notifications(
        begun.database.begin, begun.bus, lambda: begun.now[0], lambda: begun.ticks[0],
        lambda: False, frozenset({"email"}), codes=codes,
    )  # fmt: skip
    await use.prefer(who, email="ada@bank-a.example")
    ((key, mail),) = begun.database.tables.rows["deliveries"].items()
    assert (mail.kind, mail.address, mail.facts) == (CONFIRM, "", {})
    kept = begun.database.tables.rows["preferences"][who.user]
    code = codes.code(key)
    assert code not in str(vars(kept)) + str(vars(mail))
    await use.confirm(who, code)
    await use.prefer(who, email="mallory@elsewhere.example")
    rows = begun.database.tables.rows["deliveries"]
    (warning,) = [one for one in rows.values() if one.kind == "account_entered"]
    assert warning.address == "ada@bank-a.example"
    assert await told(begun, who, "account_entered") == [
        {"user": who.user, "what": "email", "by": who.user}
    ]
    await use.prefer(who, email="")  # an unconfirmed address is nobody's
    assert len(await told(begun, who, "account_entered")) == 1


def test_security_is_mailed_whatever_was_chosen() -> None:
    reader = Preferences("usr_1", email="a@b.example", confirmed=True, mailed=(), silenced=())
    security = [one for one in KINDS.values() if one.security]
    assert {one.name for one in security} == {
        "account_entered",
        "login_from_new_place",
        "password_known",
    }
    assert all(reader.mails(one) for one in security)
    assert not any(replace(reader, confirmed=False).mails(one) for one in security)
    assert not any(reader.mails(one) for one in KINDS.values() if not one.security)
