"""Refresh tokens: each counts once, a spent one ends the login, a lost answer does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.loginplaces import Places
from secureflow.application.passwords import Passwords
from secureflow.application.refreshing import (
    ACCESS_SECONDS,
    ACCESS_TOKENS,
    IDLE_SECONDS,
    MOST_SECONDS,
    REPEAT_SECONDS,
    Refreshing,
)
from secureflow.application.tokens import Issued
from secureflow.domain.users import User
from secureflow.kit.errors import SecureFlowError
from tests.stage import PASSWORD, Stage
from tests.unit.application.refusing import refused

PLACES = Places(bytes(32))


async def user_of(stage: Stage) -> User:
    async with stage.services.begin() as work:
        return await work.users.get(stage.scientist("bank-a").user)


async def begun(stage: Stage) -> Issued:
    return await stage.services.refreshing.begin(await user_of(stage), "password")


async def valid(stage: Stage, issued: Issued) -> bool:
    try:
        await stage.services.tokens.authenticate(issued.text)
    except SecureFlowError:
        return False
    return True


async def test_a_login_goes_on_beyond_its_first_token(stage: Stage) -> None:
    issued = await begun(stage)
    assert issued.token.expires == stage.now[0] + ACCESS_SECONDS
    assert issued.refresh_expires == stage.now[0] + IDLE_SECONDS
    for _ in range(3):
        stage.now[0] += ACCESS_SECONDS
        assert not await valid(stage, issued)
        issued = await stage.services.refreshing.refresh(issued.refresh)
        assert await valid(stage, issued)


async def test_a_spent_token_ends_the_whole_login_whoever_holds_the_next(stage: Stage) -> None:
    use = stage.services.refreshing
    stolen = await begun(stage)
    stage.now[0] += 60
    owners = await use.refresh(stolen.refresh)
    stage.now[0] += REPEAT_SECONDS + 1
    with refused("refresh_ended"):
        await use.refresh(stolen.refresh)
    assert not await valid(stage, owners)
    assert not await valid(stage, stolen)
    with refused("refresh_ended"):
        await use.refresh(owners.refresh)
    await stage.ledger.caught_up()
    assert stage.ledger.log[-1].kind == "access.ended"
    document = stage.ledger.log[-1].document
    assert (document["why"], document["user"]) == ("refresh_reused", owners.user.id)


async def test_one_from_two_turns_ago_is_spent_at_once(stage: Stage) -> None:
    use = stage.services.refreshing
    first = await begun(stage)
    second = await use.refresh(first.refresh)
    await use.refresh(second.refresh)
    with refused("refresh_ended"):
        await use.refresh(first.refresh)
    assert not stage.database.tables.rows["families"]


async def test_a_lost_answer_is_given_again_and_locks_nobody_out(stage: Stage) -> None:
    use = stage.services.refreshing
    first = await begun(stage)
    lost = await use.refresh(first.refresh)
    stage.now[0] += REPEAT_SECONDS
    again = await use.refresh(first.refresh)
    assert again.refresh == lost.refresh
    assert again.text != lost.text
    assert await valid(stage, await use.refresh(again.refresh))


async def test_who_repeats_a_stolen_one_in_time_is_found_a_turn_later(stage: Stage) -> None:
    """What remains of a theft within the seconds of a lost answer."""
    use = stage.services.refreshing
    first = await begun(stage)
    owners, thiefs = await use.refresh(first.refresh), await use.refresh(first.refresh)
    stage.now[0] += ACCESS_SECONDS
    await use.refresh(thiefs.refresh)
    stage.now[0] += ACCESS_SECONDS
    with refused("refresh_ended"):
        await use.refresh(owners.refresh)
    assert not stage.database.tables.rows["families"]


async def test_a_forged_one_ends_nothing(stage: Stage) -> None:
    """The id of a login is no secret: it stands in the ledger."""
    use = stage.services.refreshing
    issued = await begun(stage)
    head, _, secret = issued.refresh.rpartition("_")
    name = issued.refresh.split("_")[1]
    other = "A" if secret[0] != "A" else "B"
    forged = [f"{head}_{other}{secret[1:]}", f"sfr_{name}_9_{secret}", f"sfr_{name}_0_{secret}"]
    for text in (*forged, "", "x" * 128, issued.text, f"{issued.refresh}\n"):
        with refused("refresh_ended"):
            await use.refresh(text)
        await use.end(text)
    assert await valid(stage, await use.refresh(issued.refresh))


async def test_it_ends_unused_and_in_any_case_after_ninety_days(stage: Stage) -> None:
    use = stage.services.refreshing
    began = stage.now[0]
    issued = await begun(stage)
    while stage.now[0] + IDLE_SECONDS - 1 < began + MOST_SECONDS:
        stage.now[0] += IDLE_SECONDS - 1
        issued = await use.refresh(issued.refresh)
    assert issued.refresh_expires == began + MOST_SECONDS
    stage.now[0] = began + MOST_SECONDS
    with refused("refresh_ended"):
        await use.refresh(issued.refresh)
    unused = await begun(stage)
    stage.now[0] += IDLE_SECONDS
    with refused("refresh_ended"):
        await use.refresh(unused.refresh)


async def test_nothing_in_the_database_is_a_refresh_token(stage: Stage) -> None:
    issued = await begun(stage)
    rows = [vars(row) for row in stage.database.tables.rows["families"].values()]
    assert rows
    assert issued.refresh.split("_", 3)[3] not in f"{rows} {stage.database.tables}"
    elsewhere = Refreshing(stage.services.transactions, lambda: stage.now[0], bytes(32), 50, PLACES)
    with refused("refresh_ended"):
        await elsewhere.refresh(issued.refresh)


async def test_a_restored_centre_takes_no_later_token(stage: Stage) -> None:
    use = stage.services.refreshing
    issued = await begun(stage)
    (older,) = stage.database.tables.rows["families"].values()
    later = await use.refresh(issued.refresh)
    async with stage.services.begin() as work:
        await work.families.save(older)
        await work.commit()
    with refused("refresh_ended"):
        await use.refresh(later.refresh)
    assert stage.database.tables.rows["families"]  # that proves no theft


async def test_logging_out_ends_it_by_either_token(stage: Stage) -> None:
    use = stage.services
    for way in ("access", "refresh"):
        issued = await begun(stage)
        if way == "access":
            await use.tokens.logout(issued.text)
        else:
            await use.refreshing.end(issued.refresh)
        assert not await valid(stage, issued)
        with refused("refresh_ended"):
            await use.refreshing.refresh(issued.refresh)


@pytest.mark.parametrize("what", ["password", "disabled", "organisation"])
async def test_it_ends_with_what_ends_access(stage: Stage, what: str) -> None:
    issued, admin = await begun(stage), stage.admin("bank-a")
    use, user = stage.services, issued.user.id
    if what == "password":
        await use.users.update(admin, user, password="another horse battery")
    elif what == "disabled":
        await use.users.update(admin, user, disabled=True)
    else:
        await use.organisations.set_disabled(stage.operator, "bank-a", True)
    with refused("refresh_ended"):
        await use.refreshing.refresh(issued.refresh)


async def test_who_changes_the_password_keeps_their_own_login_alone(stage: Stage) -> None:
    user = await user_of(stage)
    async with stage.services.begin() as work:
        hashed = await Passwords().hash(PASSWORD)
        await work.users.save(replace(user, password=hashed))
        await work.commit()
    mine, other = await begun(stage), await begun(stage)
    caller = await stage.services.tokens.authenticate(mine.text)
    program = await stage.services.tokens.create(caller, "nightly", 3600)
    await stage.services.users.change_password(caller, PASSWORD, "another horse battery")
    assert [await valid(stage, one) for one in (mine, other, program)] == [True, False, False]
    await stage.services.refreshing.refresh(mine.refresh)
    with refused("refresh_ended"):
        await stage.services.refreshing.refresh(other.refresh)


async def test_there_are_few_of_them_and_they_push_no_personal_token_out(stage: Stage) -> None:
    use, user = stage.services, await user_of(stage)
    program = await use.tokens.create(stage.scientist("bank-a"), "nightly", 7200)
    few = Refreshing(use.transactions, lambda: stage.now[0], bytes(32), 2, PLACES)
    logins = [await few.begin(user, "password") for _ in range(4)]
    for _ in range(20):
        await few.refresh(logins[-1].refresh)
    families = stage.database.tables.rows["families"]
    assert len(families) == 2
    tokens = [one for one in stage.database.tables.rows["tokens"].values() if one.family]
    assert {one.family for one in tokens} == set(families)
    assert max(sum(one.family == key for one in tokens) for key in families) == ACCESS_TOKENS
    assert await valid(stage, program)
    ended = [one for one in logins if one.token.family not in families]
    assert len(ended) == 2
    for one in ended:
        with refused("refresh_ended"):
            await few.refresh(one.refresh)


async def test_revoking_its_access_token_ends_it(stage: Stage) -> None:
    issued = await begun(stage)
    await stage.services.tokens.revoke_of(stage.admin("bank-a"), issued.user.id, issued.token.id)
    with refused("refresh_ended"):
        await stage.services.refreshing.refresh(issued.refresh)
