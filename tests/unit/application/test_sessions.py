"""Browser sessions: opened after a proof, limited in time and number, ended by their owner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.application.access import Principal
from secureflow.application.sessions import Opened, Sessions
from secureflow.domain.users import Role, User
from secureflow.kit.errors import InfrastructureError
from tests.stage import PASSWORD, Stage, empty_stage
from tests.unit.application.refusing import refused

IDLE, MOST = 1800, 12 * 3600


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = empty_stage(tmp_path)
    await stage.add_person("", Role.PLATFORM_ADMIN)
    return stage


@pytest.fixture
def sessions(stage: Stage) -> Sessions:
    return stage.services.sessions


async def account(stage: Stage, key: str = "") -> User:
    async with stage.database.begin() as work:
        user: User = await work.users.get(key or stage.operator.user)  # type: ignore[attr-defined]
    return user


async def opened(stage: Stage, brought: str = "") -> Opened:
    return await stage.services.sessions.open(
        await account(stage), method="password", address="10.0.0.1", brought=brought
    )


def rows(stage: Stage) -> dict[str, Any]:
    return stage.database.tables.rows["sessions"]


async def entries(stage: Stage) -> list[tuple[str, Any]]:
    await stage.ledger.caught_up()
    return [(entry.kind, entry.document) for entry in stage.ledger.log]


async def test_a_session_is_its_owner(stage: Stage, sessions: Sessions) -> None:
    made = await opened(stage)
    principal = await sessions.authenticate(made.text)
    assert principal == replace(stage.operator, session=made.session.id)
    assert await sessions.holds(principal)
    (shown,) = await sessions.list(principal)
    assert (shown.method, shown.address, shown.digest) == ("password", "10.0.0.1", "")


async def test_what_the_database_holds_opens_nothing(stage: Stage, sessions: Sessions) -> None:
    """Only a digest of the secret is stored: a stolen database is no session."""
    made = await opened(stage)
    (row,) = rows(stage).values()
    secret = made.text.split("_", 2)[2]
    fields = [vars(one) for table in stage.database.tables.rows.values() for one in table.values()]
    assert secret not in str(fields) + str(await entries(stage))
    assert secret not in repr(made)
    name = row.id.removeprefix("ses_")
    for stolen in (row.digest, row.digest[:43], secret[::-1]):
        with refused("unauthenticated"):
            await sessions.authenticate(f"sfs_{name}_{stolen}")


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: "",
        lambda text: text + "\n",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace("sfs_", "sft_"),
        lambda text: "sfs_" + "0" * 20 + text[24:],
        lambda text: "sfs_" + "x" * 100_000,
    ],
)
async def test_forged_sessions_are_refused(stage: Stage, sessions: Sessions, forge: Any) -> None:
    made = await opened(stage)
    with refused("unauthenticated"):
        await sessions.authenticate(forge(made.text))
    await sessions.close(forge(made.text))  # says nothing, and ends nothing
    await sessions.authenticate(made.text)


async def test_a_session_fixed_beforehand_is_never_continued(
    stage: Stage, sessions: Sessions
) -> None:
    """Session fixation: what the browser brought along ends, and the new session is another."""
    brought = await opened(stage)
    fresh = await opened(stage, brought.text)
    assert fresh.session.id != brought.session.id
    assert fresh.text[25:] != brought.text[25:]
    with refused("unauthenticated"):
        await sessions.authenticate(brought.text)
    made_up = await opened(stage, "sfs_" + "0" * 20 + "_" + "x" * 43)
    assert made_up.session.id != "ses_" + "0" * 20
    assert made_up.text not in ("sfs_" + "0" * 20 + "_" + "x" * 43, fresh.text)
    await sessions.authenticate(fresh.text)


async def test_an_unused_session_ends(stage: Stage, sessions: Sessions) -> None:
    made = await opened(stage)
    for _ in range(3):  # each use begins the time again
        stage.now[0] += IDLE - 1
        principal = await sessions.authenticate(made.text)
    stage.now[0] += IDLE
    assert not await sessions.holds(principal)
    assert await sessions.list(principal) == []
    with refused("session_expired"):
        await sessions.authenticate(made.text)


async def test_a_used_session_ends_after_its_most(stage: Stage, sessions: Sessions) -> None:
    made = await opened(stage)
    for _ in range(MOST // (IDLE - 1)):
        stage.now[0] += IDLE - 1
        principal = await sessions.authenticate(made.text)
    stage.now[0] = made.session.created + MOST - 1
    await sessions.authenticate(made.text)
    stage.now[0] += 1
    assert not await sessions.holds(principal)
    with refused("session_expired"):
        await sessions.authenticate(made.text)
    async with stage.database.begin() as work:
        assert await work.sweep(stage.now[0]) == 1


async def test_limits_that_are_lowered_count_for_living_sessions(
    stage: Stage, sessions: Sessions
) -> None:
    made = await opened(stage)
    sessions._limits = replace(sessions._limits, idle_seconds=120)
    stage.now[0] += 120
    with refused("session_expired"):
        await sessions.authenticate(made.text)
    sessions._limits = replace(sessions._limits, idle_seconds=1800, most_seconds=300)
    await sessions.authenticate(made.text)
    stage.now[0] += 180
    with refused("session_expired"):
        await sessions.authenticate(made.text)


async def test_the_last_use_is_written_once_a_minute(stage: Stage, sessions: Sessions) -> None:
    made = await opened(stage)
    written = []
    for second in range(0, 180, 20):
        stage.now[0] = made.session.created + second
        await sessions.authenticate(made.text)
        written.append(rows(stage)[made.session.id].used - made.session.created)
    assert written == [0, 0, 0, 60, 60, 60, 120, 120, 120]
    stage.now[0] += 600
    await sessions.holds(await sessions.authenticate(made.text))
    used = rows(stage)[made.session.id].used
    stage.now[0] += 600
    principal = Principal("", "", "", frozenset(), "", made.session.id)
    await sessions.holds(replace(principal, user=stage.operator.user))  # a stream is no use
    assert rows(stage)[made.session.id].used == used


async def test_a_full_disk_ends_no_session(
    stage: Stage, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await opened(stage)
    stage.now[0] += 600

    async def full(_: object) -> None:
        raise InfrastructureError("disk_full", "The disk is full.")

    monkeypatch.setattr("tests.doubles.MemoryUnit.commit", full)
    assert (await sessions.authenticate(made.text)).session == made.session.id
    with refused("disk_full"):  # what cannot be stored is not handed out
        await opened(stage)


async def test_people_end_their_own_sessions_only(stage: Stage, sessions: Sessions) -> None:
    own = [await sessions.authenticate((await opened(stage)).text) for _ in range(4)]
    await stage.services.organisations.create(stage.operator, "bank-a", "Bank A")
    other = await stage.add_person("bank-a", Role.AUDITOR)
    foreign = await sessions.open(await account(stage, other.user), method="oidc", address="h")
    with refused("not_found"):
        await sessions.revoke(own[0], foreign.session.id)
    await sessions.revoke(own[0], own[3].session)
    assert [await sessions.holds(one) for one in own] == [True, True, True, False]
    await sessions.revoke_others(own[0])
    assert [await sessions.holds(one) for one in own] == [True, False, False, False]
    assert [one.id for one in await sessions.list(own[0])] == [own[0].session]
    await sessions.authenticate(foreign.text)


async def test_the_number_of_sessions_is_bounded(stage: Stage, sessions: Sessions) -> None:
    sessions._limits = replace(sessions._limits, most=2)
    first, second = await opened(stage), await opened(stage)
    stage.now[0] += 60
    await sessions.authenticate(first.text)
    third = await opened(stage)
    assert rows(stage).keys() == {first.session.id, third.session.id}
    with refused("unauthenticated"):  # the one that was not used for longest
        await sessions.authenticate(second.text)


@pytest.mark.parametrize("how", ["disabled", "password", "own password"])
async def test_disabling_and_new_passwords_end_sessions(
    stage: Stage, sessions: Sessions, how: str
) -> None:
    users = stage.services.users
    user = await users.create(
        stage.operator, name="deputy", password=PASSWORD, display="", organisation="",
        roles=[Role.PLATFORM_ADMIN],
    )  # fmt: skip
    made = [await sessions.open(user, method="password", address="h") for _ in range(2)]
    principals = [await sessions.authenticate(one.text) for one in made]
    fresh = "another password"
    if how == "own password":
        await users.change_password(principals[0], PASSWORD, fresh)
    elif how == "password":
        await users.update(stage.operator, user.id, password=fresh)
    else:
        await users.update(stage.operator, user.id, disabled=True)
    held = [await sessions.holds(one) for one in principals]
    assert held == [how == "own password", False]
    with refused("bad_credentials"):  # what was checked before the change opens nothing after it
        await sessions.open(user, method="password", address="h")
    kind, document = (await entries(stage))[-2]
    assert kind == "access.ended"
    ended = principals[1:] if how == "own password" else principals
    assert set(document["sessions"]) == {one.session for one in ended}
    assert document["why"] == ("disabled" if how == "disabled" else "password")


async def test_coming_and_going_is_in_the_ledger_under_pseudonyms(
    stage: Stage, sessions: Sessions
) -> None:
    made, other = await opened(stage), await opened(stage)
    await sessions.close(made.text)
    await sessions.close(made.text)  # once more: nothing ended
    await sessions.revoke(await sessions.authenticate(other.text), other.session.id)
    told = await entries(stage)
    assert [kind for kind, _ in told] == ["login.accepted"] * 2 + ["access.ended"] * 2
    me = stage.operator.user
    assert told[0][1] == {
        **{"user": me, "organisation": "", "method": "password"},
        "session": made.session.id,
    }
    assert [one["why"] for _, one in told[2:]] == ["logout", "revoked"]
    assert {one["user"] for _, one in told} == {me}
    assert stage.operator.name not in str(told)
    assert "10.0.0.1" not in str(told)
