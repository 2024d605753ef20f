"""What one member asks to be calculated keeps others waiting for one piece at most."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.namedlocks import MOST_WAITING
from secureflow.domain.users import Role
from tests.stage import PASSWORD, Stage
from tests.unit.application.refusing import refused
from tests.unit.application.test_private_jobs import PARTS

QUOTE = {
    "noise": 4.0, "epsilon": {"pld": 1.0, "rdp-cks20": 1.0, "rdp-filter": 1.0}, "curve": []
}  # fmt: skip


class Slow:
    """An accountant that answers when it is told to."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.go = asyncio.Event()

    async def quote(self, **_: Any) -> dict[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return QUOTE


@pytest.fixture
def slow(stage: Stage) -> Slow:
    accountant = Slow()
    stage.services.jobs._accountant = accountant  # type: ignore[assignment]
    return accountant


async def _settle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_member_has_one_calculation_at_a_time_and_others_theirs(
    stage: Stage, slow: Slow
) -> None:
    jobs, wanted = stage.services.jobs, stage.wanted(parts=PARTS)
    mine = [
        asyncio.create_task(jobs.dry_run(stage.scientist("bank-a"), wanted))
        for _ in range(MOST_WAITING)
    ]
    await _settle()
    assert slow.running == 1
    with refused("rate_limited"):
        await jobs.dry_run(stage.scientist("bank-a"), wanted)
    theirs = asyncio.create_task(jobs.dry_run(stage.scientist("bank-b"), wanted))
    await _settle()
    assert slow.running == 2
    slow.go.set()
    await asyncio.gather(theirs, *mine)
    assert slow.most == 2
    await jobs.dry_run(stage.scientist("bank-a"), wanted)  # every place is given back


class Hashing:
    """Passwords that are hashed when it is told to; a decoy's is never right."""

    def __init__(self) -> None:
        self.running = 0
        self.go = asyncio.Event()

    async def hash(self, password: str, *_: str) -> str:
        self.running += 1
        await self.go.wait()
        return f"hash of {password}"

    async def matches(self, stored: str | None, password: str) -> bool:
        await self.hash(password)
        return stored == f"hash of {password}"


async def test_a_member_has_one_password_hashed_at_a_time(stage: Stage) -> None:
    users, hashing = stage.services.users, Hashing()
    users._passwords = hashing  # type: ignore[assignment]

    async def create(bank: str, n: int) -> None:
        await users.create(
            stage.admin(bank), name=f"{bank}.{n}", password=PASSWORD, display="",
            organisation=bank, roles=[Role.AUDITOR],
        )  # fmt: skip

    mine = [asyncio.create_task(create("bank-a", n)) for n in range(MOST_WAITING - 2)]
    admin = stage.admin("bank-a")
    mine.append(asyncio.create_task(users.update(admin, admin.user, password=PASSWORD)))
    scientist = stage.scientist("bank-a")
    mine.append(asyncio.create_task(users.change_password(scientist, "wrong", PASSWORD)))
    await _settle()
    assert hashing.running == 1
    with refused("rate_limited"):
        await create("bank-a", 99)
    theirs = asyncio.create_task(create("bank-b", 0))
    await _settle()
    assert hashing.running == 2
    hashing.go.set()
    told = await asyncio.gather(theirs, *mine, return_exceptions=True)
    assert [one for one in told if isinstance(one, Exception)] == [told[-1]]


async def test_an_old_password_is_guessed_no_faster_than_at_the_login(stage: Stage) -> None:
    users, hashing = stage.services.users, Hashing()
    users._passwords = hashing  # type: ignore[assignment]
    hashing.go.set()
    thief = stage.scientist("bank-a")
    for _ in range(5):
        with refused("bad_credentials"):
            await users.change_password(thief, "a guess", PASSWORD)
    with refused("rate_limited"):
        await users.change_password(thief, "a guess", PASSWORD)
    stage.ticks[0] += 30
    with refused("bad_credentials"):
        await users.change_password(thief, "a guess", PASSWORD)


async def test_who_is_no_member_starts_no_calculation(stage: Stage, slow: Slow) -> None:
    wanted = replace(stage.wanted(parts=PARTS), project="prj_of_nobody")
    with refused("not_found"):
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted)
    with refused("not_found"):
        await stage.services.jobs.submit(stage.scientist("outsider"), stage.wanted(parts=PARTS))
    assert slow.most == 0
