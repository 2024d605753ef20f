"""The device flow: nobody guesses a code, a code is decided once, and says who asks."""

from __future__ import annotations

import pytest

from secureflow.application.devices import LETTERS, SECONDS, Started
from secureflow.domain.users import Role, Scope
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden
from tests.stage import Stage
from tests.unit.application.refusing import refused

HOME = "10.0.0.1"


async def started(stage: Stage, address: str = "192.0.2.7") -> Started:
    return await stage.services.devices.start("secureflow on training-3", address)


async def test_a_person_elsewhere_logs_it_in_as_themselves(stage: Stage) -> None:
    use, ada = stage.services.devices, stage.scientist("bank-a")
    asked = await started(stage)
    with refused("authorization_pending"):
        await use.poll(asked.secret)
    seen = await use.find(ada, asked.code.lower(), HOME)
    assert (seen.client, seen.address) == ("secureflow on training-3", "192.0.2.7")
    assert (seen.digest, seen.code) == ("", "")
    await use.decide(ada, asked.code.replace("-", ""), HOME, approve=True)
    issued = await use.poll(asked.secret)
    caller = await stage.services.tokens.authenticate(issued.text)
    assert caller.user == ada.user
    await stage.services.refreshing.refresh(issued.refresh)
    await stage.ledger.caught_up()
    assert stage.ledger.kinds[-2:] == ["device.approved", "login.accepted"]
    about = stage.ledger.log[-2].document
    assert set(about) == {"user", "organisation", "device"}
    assert "training-3" not in str(stage.ledger.log)


async def test_its_login_is_given_once(stage: Stage) -> None:
    use, asked = stage.services.devices, await started(stage)
    await use.decide(stage.scientist("bank-a"), asked.code, HOME, approve=True)
    await use.poll(asked.secret)
    with refused("device_code_expired"):
        await use.poll(asked.secret)
    assert not stage.database.tables.rows["devices"]


@pytest.mark.parametrize("approve", [True, False])
async def test_a_code_is_decided_once(stage: Stage, approve: bool) -> None:
    use, asked = stage.services.devices, await started(stage)
    await use.decide(stage.scientist("bank-a"), asked.code, HOME, approve=approve)
    for again in (True, False):
        with refused("not_found"):
            await use.decide(stage.admin("bank-b"), asked.code, HOME, approve=again)
    if approve:
        assert (await use.poll(asked.secret)).user.id == stage.scientist("bank-a").user
    else:
        with refused("access_denied"):
            await use.poll(asked.secret)
        with refused("device_code_expired"):
            await use.poll(asked.secret)


async def test_a_code_ends_after_ten_minutes_approved_or_not(stage: Stage) -> None:
    use = stage.services.devices
    late, approved = await started(stage), await started(stage)
    await use.decide(stage.scientist("bank-a"), approved.code, HOME, approve=True)
    stage.now[0] += SECONDS
    with refused("not_found"):
        await use.decide(stage.scientist("bank-a"), late.code, HOME, approve=True)
    for one in (late, approved):
        with refused("device_code_expired"):
            await use.poll(one.secret)


async def test_who_asks_too_often_is_told_to_slow_down(stage: Stage) -> None:
    use, asked = stage.services.devices, await started(stage)
    with refused("authorization_pending"):
        await use.poll(asked.secret)
    stage.now[0] += asked.interval - 1
    with refused("slow_down"):
        await use.poll(asked.secret)
    stage.now[0] += asked.interval  # the interval has grown
    with refused("slow_down"):
        await use.poll(asked.secret)
    stage.now[0] += asked.interval + 10
    with refused("authorization_pending"):
        await use.poll(asked.secret)


async def test_codes_are_not_guessed_by_one_person_nor_from_one_address(stage: Stage) -> None:
    use, asked = stage.services.devices, await started(stage)
    guesser = stage.person("outsider", Role.AUDITOR)
    for _ in range(10):
        with refused("not_found"):
            await use.find(guesser, "BBBBBBBB", "10.9.9.9")
    with refused("rate_limited"):  # the right one, too
        await use.decide(guesser, asked.code, "10.9.9.8", approve=True)
    people = [stage.person(bank, role) for bank in ("bank-a", "bank-b", "bank-c")
              for role in Role if role is not Role.PLATFORM_ADMIN]  # fmt: skip
    tried = 0
    for person in people:
        for _ in range(8):
            if tried < 50:
                with refused("not_found"):
                    await use.find(person, "BBBBBBBC", "10.9.9.9")
                tried += 1
    with refused("rate_limited"):
        await use.find(people[-1], asked.code, "10.9.9.9")
    await use.find(stage.scientist("bank-c"), asked.code, HOME)  # others are not slowed down
    for _ in range(30):  # and a right code costs nothing
        await use.find(stage.owner("bank-c"), asked.code, HOME)


async def test_codes_have_no_vowels_and_differ(stage: Stage) -> None:
    codes = set()
    for number in range(60):
        code = (await started(stage, f"192.0.2.{number}")).code
        assert set(code.replace("-", "")) <= set(LETTERS)
        codes.add(code)
    assert len(codes) == 60
    assert not set("AEIOUY") & set(LETTERS)
    assert len(LETTERS) == 20


async def test_beginnings_are_few_from_one_address(stage: Stage) -> None:
    for _ in range(20):
        await started(stage)
    with refused("rate_limited"):
        await started(stage)
    await started(stage, "192.0.2.8")


async def test_neither_code_nor_secret_is_stored(stage: Stage) -> None:
    asked = await started(stage)
    rows = str([vars(row) for row in stage.database.tables.rows["devices"].values()])
    assert asked.code.replace("-", "") not in rows
    assert asked.secret.split("_", 2)[2] not in rows


async def test_a_narrow_token_approves_nothing(stage: Stage) -> None:
    tokens, ada = stage.services.tokens, stage.scientist("bank-a")
    asked = await started(stage)
    issued = await tokens.create(ada, "t", 60, scopes=[s for s in Scope if s not in
                                                     (Scope.ALL, Scope.SECOND_FACTOR)])  # fmt: skip
    narrow = await tokens.authenticate(issued.text)
    with refused("scope_too_narrow"):
        await stage.services.devices.decide(narrow, asked.code, HOME, approve=True)
    with refused("scope_too_narrow"):
        await stage.services.devices.find(narrow, asked.code, HOME)


async def test_an_approval_ends_with_the_access_of_who_gave_it(stage: Stage) -> None:
    use, ada = stage.services, stage.scientist("bank-a")
    asked, other = await started(stage), await started(stage)
    for one in (asked, other):
        await use.devices.decide(ada, one.code, HOME, approve=True)
    await use.users.update(stage.admin("bank-a"), ada.user, password="another horse battery")
    with refused("device_code_expired"):
        await use.devices.poll(asked.secret)
    third = await started(stage)
    await use.devices.decide(ada, third.code, HOME, approve=True)
    await use.organisations.set_disabled(stage.operator, "bank-a", True)
    with refused("device_code_expired"):
        await use.devices.poll(third.secret)


@pytest.mark.parametrize("typed", ["BCDF\u202eGHJK", "\x1b[2J", "\u200b", "\ud800"])
async def test_what_was_typed_is_told_without_what_nobody_sees(stage: Stage, typed: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.devices.find(stage.scientist("bank-a"), typed, HOME)
    assert caught.value.code == "not_found"
    assert not hidden(caught.value.message)
