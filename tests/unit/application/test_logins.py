"""Logging in: nobody locks out others, and failures flood nothing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from secureflow.application import failedlogins
from secureflow.application.access import Principal
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.users import Role, User
from secureflow.engines.ledger.setback import Hold
from secureflow.kit import totp
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.stage import PASSWORD, Stage, empty_stage
from tests.unit.application.refusing import refused

HOME, WRONG = "10.0.0.1", "a wrong password"


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = empty_stage(tmp_path)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    stage.services.logins._passwords._hasher = quick
    await stage.services.users.create_first("root", PASSWORD)
    return stage


async def check(stage: Stage, password: str = PASSWORD, address: str = HOME, **more: Any) -> User:
    return await stage.services.logins.check(more.pop("name", "root"), password, address, **more)


async def guess(stage: Stage, address: str, name: str = "root") -> str:
    try:
        await check(stage, WRONG, address, name=name)
    except SecureFlowError as error:
        return error.code
    raise AssertionError


async def entries(stage: Stage) -> list[tuple[str, Any]]:
    await stage.ledger.caught_up()
    return [(entry.kind, entry.document) for entry in stage.ledger.log]


async def refusals(stage: Stage) -> dict[str, int]:
    told = [about for kind, about in await entries(stage) if kind == "login.refused"]
    return {about["user"]: about["count"] for about in told}


async def test_nobody_keeps_a_familiar_user_out_from_elsewhere(stage: Stage) -> None:
    await check(stage)
    for number in range(30):
        codes = [await guess(stage, f"203.0.113.{number}") for _ in range(6)]
        assert codes[-1] == "rate_limited"
        await check(stage)


async def test_an_unknown_address_comes_in_after_a_bounded_wait(stage: Stage) -> None:
    """A user's own mistakes cost seconds; others' guesses elsewhere cost them nothing."""
    for number in range(30):
        for _ in range(6):
            await guess(stage, f"203.0.113.{number}")
    for _ in range(5):
        with refused("bad_credentials"):
            await check(stage, WRONG)
    with pytest.raises(SecureFlowError) as told:
        await check(stage)
    wait = told.value.details["retry_after"]
    assert 0 < wait <= 30
    for second in range(wait):  # the guessing goes on meanwhile
        stage.ticks[0] += 1
        await guess(stage, f"203.0.113.{second}")
    await check(stage)


class Gate:
    """Holds up the comparison of wrong passwords, in their threads."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.begun: list[str] = []
        passwords = stage.services.logins._passwords
        verify = passwords._verify

        def held(stored: str, password: str) -> bool:
            self.begun.append(password)
            if password.startswith(WRONG):
                assert self.opened.wait(30)
            return verify(stored, password)

        monkeypatch.setattr(passwords, "_verify", held)


async def test_a_flood_of_guesses_holds_up_no_familiar_user(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check(stage)
    gate = Gate(stage, monkeypatch)
    flood = [asyncio.create_task(guess(stage, f"203.0.113.{n}")) for n in range(100)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await check(stage)
        assert not any(one.done() for one in flood)
    finally:
        gate.opened.set()
    assert set(await asyncio.gather(*flood)) == {"bad_credentials"}


async def test_strangers_addresses_take_turns(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(stage, monkeypatch)
    names = [f"name-{n}" for n in range(50)]
    flood = [asyncio.create_task(guess(stage, "203.0.113.1", name)) for name in names]
    await asyncio.sleep(0)
    stranger = asyncio.create_task(check(stage))
    gate.opened.set()
    await asyncio.gather(stranger, *flood)
    assert gate.begun.index(PASSWORD) <= 2


async def test_failures_become_one_entry_for_each_account(stage: Stage) -> None:
    ann = await stage.services.users.create(
        await _root(stage), name="ann", password=PASSWORD, display="", organisation="",
        roles=[Role.PLATFORM_ADMIN],
    )  # fmt: skip
    root = await check(stage)
    for number in range(7):
        await guess(stage, f"203.0.113.{number}")
        await guess(stage, f"203.0.113.{number}", "ann")
        await guess(stage, f"203.0.113.{number}", f"hunter{number}")
    assert await refusals(stage) == {}
    await stage.services.failed_logins.flush()
    assert await refusals(stage) == {root.id: 7, ann.id: 7, "": 7}
    told = str(await entries(stage))
    for secret in ("hunter", "203.0.113", "ann'", "root"):
        assert secret not in told
    size = len(stage.ledger.log)
    await stage.services.failed_logins.flush()  # nothing new
    await stage.ledger.caught_up()
    assert len(stage.ledger.log) == size


async def _root(stage: Stage) -> Any:
    issued = await stage.services.tokens.login("root", PASSWORD, HOME)
    return await stage.services.tokens.authenticate(issued.text)


async def test_what_is_counted_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failedlogins, "MOST", 3)
    failed = stage.services.failed_logins
    people = [User(f"usr_{n}", "", "", "bank-a", (), "", 0) for n in range(10)]
    for user in people * 2:
        failed.count(user)
    for _ in range(1000):
        failed.count(None)
    await failed.flush()
    assert await refusals(stage) == {"usr_0": 2, "usr_1": 2, "usr_2": 2, "": 1014}


async def test_a_full_disk_neither_stops_logins_nor_loses_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await check(stage)

    async def full(_: object) -> None:
        raise InfrastructureError("disk_full", "The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr("tests.doubles.MemoryUnit.commit", full)
        await guess(stage, HOME)
        await stage.services.failed_logins.flush()
        await guess(stage, HOME)
        await check(stage)
        with refused("disk_full"):  # typed; what cannot be stored is not handed out
            await stage.services.tokens.login("root", PASSWORD, HOME)
    await stage.services.failed_logins.flush()
    assert await refusals(stage) == {root.id: 2}


async def test_a_held_log_stops_no_login(stage: Stage) -> None:
    stage.ledger.hold = Hold("restored", 1, 1, kept=1)
    issued = await stage.services.tokens.login("root", PASSWORD, HOME)
    opened = await stage.services.sessions.open(issued.user, method="password", address=HOME)
    await guess(stage, HOME)
    await stage.services.failed_logins.flush()
    await stage.services.tokens.logout(issued.text)
    await stage.services.sessions.close(opened.text)
    stage.ledger.hold = None
    kinds = [kind for kind, _ in await entries(stage)]
    assert kinds[1:] == ["login.accepted"] * 2 + ["login.refused"] + ["access.ended"] * 2


def watch_numbering(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event that is set once entries have been numbered."""
    numbered, catch_up = asyncio.Event(), stage.ledger.caught_up

    async def told() -> int:
        size = await catch_up()
        numbered.set()
        return size

    monkeypatch.setattr(stage.ledger, "caught_up", told)
    return numbered


async def test_a_login_does_not_wait_for_the_log(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    numbered = watch_numbering(stage, monkeypatch)
    monkeypatch.setattr(stage.ledger, "sequenced", never)
    async with asyncio.timeout(20):
        await stage.services.tokens.login("root", PASSWORD, HOME)
    assert "login.accepted" not in stage.ledger.kinds
    numbering = asyncio.create_task(stage.services.transactions.keep_numbered())
    await numbered.wait()
    assert stage.ledger.kinds[-1] == "login.accepted"
    numbering.cancel()


async def test_numbering_outlives_a_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, numbered = asyncio.Event(), watch_numbering(stage, monkeypatch)

    async def failing() -> int:
        tried.set()
        raise InfrastructureError("database_unavailable", "It is away.")

    numbering = asyncio.create_task(stage.services.transactions.keep_numbered())
    with monkeypatch.context() as patched:
        patched.setattr(stage.ledger, "caught_up", failing)
        await stage.services.tokens.login("root", PASSWORD, HOME)
        await tried.wait()
    await stage.services.tokens.login("root", PASSWORD, HOME)
    await numbered.wait()
    assert stage.ledger.kinds[-2:] == ["login.accepted"] * 2
    numbering.cancel()


async def test_the_last_counts_are_written_when_the_server_stops(stage: Stage) -> None:
    root = await check(stage)
    keeping = asyncio.create_task(stage.services.failed_logins.keep_flushed())
    await guess(stage, HOME)
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert await refusals(stage) == {root.id: 1}


class Codes:
    """A second factor that takes one code."""

    async def require(self, work: UnitOfWork, user: User, code: str) -> None:
        del work, user
        if not code:
            raise SecureFlowError("second_factor_required", "A code is needed.")
        if code != "123456":
            raise SecureFlowError("bad_credentials", "It does not match.")


async def test_a_second_factor_is_asked_for_once_the_password_is_right(stage: Stage) -> None:
    logins, failed = stage.services.logins, stage.services.failed_logins
    logins._second = Codes()
    with refused("bad_credentials"):
        await check(stage, WRONG, code="123456")
    with refused("second_factor_required"):
        await check(stage)
    with refused("bad_credentials"):
        await check(stage, code="654321")
    assert failed._counts[(await check(stage, code="123456")).id].count == 2
    for _ in range(5):
        with refused("bad_credentials"):
            await check(stage, code="000000")
    with refused("rate_limited"):  # codes are guessed no faster than passwords
        await check(stage, code="000000")


async def operator(stage: Stage) -> Principal:
    issued = await stage.services.tokens.login("root", PASSWORD, HOME)
    return await stage.services.tokens.authenticate(issued.text)


async def test_a_right_password_that_stays_without_a_code_is_recorded(stage: Stage) -> None:
    """It is the best sign of a stolen password; it slows down nobody else."""
    use, failed = stage.services, stage.services.failed_logins
    who = await operator(stage)
    await use.second_factors.enrol(who)
    secret = use.second_factors._open(stage.database.tables.rows["second_factors"][who.user])
    await use.second_factors.confirm(who, totp.code_at(secret, stage.now[0]))
    with refused("second_factor_required"):  # a login that goes on
        await check(stage)
    stage.now[0] += 60
    await check(stage, code=totp.code_at(secret, stage.now[0]))
    stage.now[0] += failedlogins.UNFINISHED
    await failed.flush()
    assert await refusals(stage) == {}
    for _ in range(2):
        with refused("second_factor_required"):
            await check(stage, address="203.0.113.9")
    await failed.flush()
    assert await refusals(stage) == {who.user: 1}
    stage.now[0] += failedlogins.UNFINISHED
    await check(stage, code=totp.code_at(secret, stage.now[0]))
    await failed.flush()
    told = [about for kind, about in await entries(stage) if kind == "login.refused"]
    assert [about["without_code"] for about in told] == [1, 1]
    assert [about["user"] for about in told] == [who.user, who.user]
