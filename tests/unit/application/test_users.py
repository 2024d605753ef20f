from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secureflow.application.passwords import Passwords
from secureflow.domain.users import Role
from secureflow.kit.errors import InfrastructureError
from tests.stage import NOW, PASSWORD, Stage, empty_stage
from tests.unit.application.refusing import refused


@pytest.fixture
async def founded(tmp_path: Path) -> Stage:
    """A platform with nobody but its first administrator, `root`."""
    stage = empty_stage(tmp_path)
    await stage.services.users.create_first("root", PASSWORD)
    return stage


async def login(stage: Stage, name: str = "root", password: str = PASSWORD) -> str:
    return (await stage.services.tokens.login(name, password, "10.0.0.1")).text


async def test_the_first_admin_logs_in_and_is_recognised(founded: Stage) -> None:
    text = await login(founded)
    principal = await founded.services.tokens.authenticate(text)
    assert principal.name == "root"
    assert principal.operator
    assert founded.ledger.kinds == ["user.created"]
    with refused("already_exists"):
        await founded.services.users.create_first("again", PASSWORD)


async def test_neither_password_nor_token_is_stored(founded: Stage) -> None:
    text = await login(founded)
    rows = founded.database.tables.rows.values()
    fields = [vars(row) for table in rows for row in table.values()]  # their repr hides secrets
    stored = str(fields) + str(founded.database.tables) + str(founded.ledger.log)
    assert PASSWORD not in stored
    assert text.split("_", 2)[-1] not in stored  # the secret itself may hold underscores
    assert "$argon2id$" in stored


async def test_unknown_names_cost_as_much_as_wrong_passwords(
    founded: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = Passwords._verify

    def counting(self: Passwords, stored: str, password: str) -> bool:
        checked.append(stored)
        return verify(self, stored, password)

    monkeypatch.setattr(Passwords, "_verify", counting)
    for name in ("root", "nobody"):
        with refused("bad_credentials"):
            await login(founded, name, "wrong password!")
    assert len(checked) == 2
    assert all(stored.startswith("$argon2id$v=19$m=7168,t=5,p=1$") for stored in checked)


async def test_guessing_is_slowed_down_per_name_and_address(founded: Stage) -> None:
    for _ in range(5):
        with refused("bad_credentials"):
            await login(founded, password="wrong password!")
    with refused("rate_limited"):
        await login(founded)
    await founded.services.tokens.login("root", PASSWORD, "10.0.0.2")
    founded.ticks[0] += 31
    await login(founded)


async def test_guessing_many_names_is_slowed_down_per_address(founded: Stage) -> None:
    founded.services.logins._by_address._burst = 3.0
    for number in range(3):
        with refused("bad_credentials"):
            await login(founded, f"name-{number}")
    with refused("rate_limited"):
        await login(founded, "name-4")


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: "",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace("sft_", "sfe_"),
        lambda text: "sft_" + "0" * 20 + "_" + text.rsplit("_", 1)[-1][-43:].rjust(43, "x"),
        lambda text: text + "\n",
    ],
)
async def test_forged_tokens_are_refused(founded: Stage, forge: Any) -> None:
    text = await login(founded)
    with refused("unauthenticated"):
        await founded.services.tokens.authenticate(forge(text))


async def test_tokens_expire_and_end(founded: Stage) -> None:
    tokens = founded.services.tokens
    text = await login(founded)
    principal = await tokens.authenticate(text)
    further = await tokens.create(principal, "ci", 10**9)
    assert further.token.expires == NOW + 90 * 86_400
    assert [t.digest for t in await tokens.list(principal)] == ["", ""]
    guess = text[:-1] + ("A" if text[-1] != "A" else "B")
    await tokens.logout(guess)  # says nothing, and ends nothing
    await tokens.authenticate(text)
    for _ in range(2):  # the first answer was lost
        await tokens.logout(text)
    with refused("unauthenticated"):
        await tokens.authenticate(text)
    with refused("unauthenticated"):
        await tokens.logout("sft_x")
    founded.now[0] += 91 * 86_400
    with refused("token_expired"):
        await tokens.authenticate(further.text)


async def test_nobody_ends_anothers_token(stage: Stage) -> None:
    issued = await stage.services.tokens.create(stage.admin("bank-a"), "", 60)
    with refused("not_found"):
        await stage.services.tokens.revoke(stage.operator, issued.token.id)
    await stage.services.tokens.authenticate(issued.text)


async def test_disabling_and_new_passwords_end_tokens(stage: Stage) -> None:
    ada = stage.scientist("bank-a")
    for change in ({"disabled": True}, {"disabled": False, "password": "another password"}):
        text = await stage.bearer(ada)
        await stage.services.users.update(stage.admin("bank-a"), ada.user, **change)  # type: ignore[arg-type]
        with refused("unauthenticated"):
            await stage.services.tokens.authenticate(text)
    issued = await stage.services.tokens.login(ada.name, "another password", "h")
    keep = await stage.services.tokens.authenticate(issued.text)
    other = await stage.bearer(ada)
    with refused("bad_credentials"):
        await stage.services.users.change_password(keep, "not the old one", PASSWORD)
    await stage.services.users.change_password(keep, "another password", PASSWORD)
    await stage.services.tokens.authenticate(issued.text)
    with refused("unauthenticated"):
        await stage.services.tokens.authenticate(other)


async def create(stage: Stage, by: Any, **changes: Any) -> Any:
    wanted = {
        "name": "ada",
        "password": PASSWORD,
        "display": "Ada",
        "organisation": "bank-a",
        "roles": [Role.DATA_SCIENTIST],
    }
    return await stage.services.users.create(by, **{**wanted, **changes})


async def test_a_password_that_somebody_else_chose_is_told_until_its_owner_changes_it(
    stage: Stage,
) -> None:
    user = await create(stage, stage.admin("bank-a"))
    assert user.handed
    issued = await stage.services.tokens.login("ada", PASSWORD, "h")
    ada = await stage.services.tokens.authenticate(issued.text)
    await stage.services.users.change_password(ada, PASSWORD, "another password")
    assert not (await stage.services.users.get(ada, user.id)).handed
    again = await stage.services.users.update(
        stage.admin("bank-a"), user.id, password="a third password"
    )
    assert again.handed
    renamed = await stage.services.users.update(stage.admin("bank-a"), user.id, display="Ada L")
    assert renamed.handed


async def test_admins_create_people_of_their_own_organisation_only(stage: Stage) -> None:
    user = await create(stage, stage.admin("bank-a"))
    assert user.organisation == "bank-a"
    assert "Ada" not in str(stage.ledger.log[-1].document)
    with refused("already_exists"):
        await create(stage, stage.operator)
    for other in ("outsider", "bank-b", "nowhere", ""):
        with refused("not_found"):
            await create(stage, stage.admin("bank-a"), name="bob", organisation=other)
    with refused("forbidden"):
        await create(stage, stage.scientist("bank-a"), name="bob")
    with refused("not_found"):
        await create(stage, stage.operator, name="bob", organisation="nowhere")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"roles": [Role.PLATFORM_ADMIN]}, "invalid_roles"),
        ({"roles": []}, "invalid_roles"),
        ({"organisation": "", "roles": [Role.AUDITOR]}, "invalid_roles"),
        ({"name": "Ada"}, "invalid_name"),
        ({"name": "../ada"}, "invalid_name"),
        ({"password": "short"}, "weak_password"),
        ({"password": "x" * 300}, "weak_password"),
    ],
)
async def test_bad_accounts_are_refused(stage: Stage, changes: dict[str, Any], code: str) -> None:
    with refused(code):
        await create(stage, stage.operator, **changes)


async def test_an_admin_cannot_make_themselves_operator(stage: Stage) -> None:
    admin = stage.admin("bank-a")
    with refused("invalid_roles"):
        await stage.services.users.update(admin, admin.user, roles=[Role.PLATFORM_ADMIN])
    with refused("not_found"):
        await stage.services.users.update(admin, stage.operator.user, disabled=True)


async def test_the_last_administrator_stays(stage: Stage) -> None:
    with refused("last_administrator"):
        await stage.services.users.update(stage.operator, stage.operator.user, disabled=True)
    second = await create(
        stage, stage.operator, name="deputy", organisation="", roles=[Role.PLATFORM_ADMIN]
    )
    await stage.services.users.update(stage.operator, second.id, disabled=True)
    with refused("last_administrator"):
        await stage.services.users.update(stage.operator, stage.operator.user, disabled=True)


async def test_people_are_invisible_across_organisations(stage: Stage) -> None:
    users = stage.services.users
    page = await users.list(stage.admin("bank-a"))
    assert {user.organisation for user in page.items} == {"bank-a"}
    assert len((await users.list(stage.operator)).items) == 17
    with refused("not_found"):
        await users.get(stage.admin("bank-a"), stage.admin("outsider").user)
    with refused("not_found"):
        await users.list(stage.admin("bank-a"), organisation="outsider")
    me = stage.scientist("bank-a")
    assert (await users.get(me, me.user)).name == me.name
    with refused("forbidden"):
        await users.get(me, stage.admin("bank-a").user)


async def test_who_logged_in_from_an_address_does_not_wait_for_who_guesses_there(
    founded: Stage,
) -> None:
    founded.services.logins._by_address._burst = 3.0
    for _ in range(10):  # what is right costs nothing
        await login(founded)
    for number in range(3):
        with refused("bad_credentials"):
            await login(founded, f"name-{number}")
    with refused("rate_limited"):
        await login(founded, "name-4")
    await login(founded)
    with refused("bad_credentials"):
        await login(founded, password="wrong password!")
    await login(founded)


async def test_what_the_login_remembers_is_bounded(
    founded: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.application.logins.FAMILIAR", 3)
    tokens = founded.services.tokens
    for number in range(6):
        await tokens.login("root", PASSWORD, f"10.0.0.{number}")
    assert list(founded.services.logins._familiar) == [
        f"root\n10.0.0.{number}" for number in (3, 4, 5)
    ]


async def test_what_was_compared_with_nothing_is_no_guess(
    founded: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away; else the right password is refused once it is back."""
    services, tokens = founded.services, founded.services.tokens
    services.logins._by_address._burst = 3.0
    principal = await tokens.authenticate(await login(founded))
    services.logins._familiar.clear()

    def away() -> Any:
        raise InfrastructureError("database_unavailable", "It is away.")

    with monkeypatch.context() as patched:
        for use in (services.logins, services.users):
            patched.setattr(use, "_begin", away)
        for _ in range(10):
            with refused("database_unavailable"):
                await login(founded)
            with refused("database_unavailable"):
                await services.users.change_password(principal, PASSWORD, "another password")
    await login(founded)
    await services.users.change_password(principal, PASSWORD, "another password")
