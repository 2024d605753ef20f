"""Another key for the log, over every database: one transaction changes it, or nothing does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from secureflow.adapters.database.checking_log import LogCheck
from secureflow.adapters.database.connections import sync_engine
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.log_verification import verify_log
from secureflow.application.running.recording import server_leaf
from secureflow.engines.ledger.leaves import parse_leaf, verify
from secureflow.engines.ledger.merkle import verify_consistency
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import notes, prove_all, submit
from tests.unit.application.test_logkeychange import NEW, Keys

NAME, NOW, SIZE = f"{ORIGIN}~2", 1_700_000_000, 4


def keys(following: SigningKey | None = NEW) -> Keys:
    made = Keys(following)
    made.signing.become(LOG_KEY)
    return made


@pytest.fixture
async def opened(
    database: Database, another: Callable[[], Database]
) -> AsyncIterator[Callable[[Keys], SqlLedger]]:
    """Logs of processes that start one after another."""
    started: list[SqlLedger] = []

    def again(known: Keys) -> SqlLedger:
        started.append(SqlLedger(another(), known.signing, ORIGIN, lambda: float(NOW), known))
        return started[-1]

    yield again
    for one in started:
        await one.stop()


async def held(ledger: SqlLedger) -> bytes:
    """Hold a log of a few entries as a proposal does; return its root."""
    await ledger.start()
    await ledger.append(notes(SIZE))
    await ledger.judge(lambda _, size: Hold("key", NOW, size, kept=size))
    return await ledger.root(SIZE)


async def changed(ledger: SqlLedger, root: bytes, start: int = SIZE) -> None:
    leaf = server_leaf("log.continued", {}, NAME, NEW, NOW)
    await ledger.continue_as(NAME, start, root, leaf, NEW.public)


async def test_the_key_changes_and_what_waited_is_signed_by_the_new_one(
    database: Database, opened: Callable[[Keys], SqlLedger]
) -> None:
    known = keys()
    ledger = opened(known)
    root = await held(ledger)
    old = parse_note(await ledger.head())
    waiting = server_leaf("user.disabled", {"user": "usr_1"}, ORIGIN, LOG_KEY, NOW, seq=7)
    forged = server_leaf("user.created", {}, ORIGIN, SigningKey.generate(), NOW, seq=8)
    await submit(database, [waiting])
    await submit(database, [forged])
    late = server_leaf("noted", {"late": True}, ORIGIN, LOG_KEY, NOW, seq=9)
    await changed(ledger, root)
    assert (ledger.origin, ledger.hold, ledger.public) == (NAME, None, NEW.public)
    await ledger.append([late])  # its transaction began before the change
    entries = [parse_leaf(one.data) for one in (await ledger.entries())[SIZE:]]
    kinds = [one.leaf.kind for one in entries]
    assert kinds == ["log.continued", "user.disabled", "user.created", "noted"]
    for entry in entries:
        honest = entry.leaf.kind != "user.created"
        assert verify(entry, NEW.public) is honest
        assert (entry.leaf.origin == NAME) is honest
    assert len((await ledger.sequenced("", 7)).indices) == 1
    head = parse_note(await ledger.head())
    assert head.verify_log(NEW.public)
    assert not head.verify_log(LOG_KEY.public)
    proof = await ledger.consistency(SIZE, head.checkpoint.size)
    roots = old.checkpoint.root, head.checkpoint.root
    assert verify_consistency(SIZE, head.checkpoint.size, *roots, proof)
    assert parse_note(await ledger.note(SIZE)).verify_log(LOG_KEY.public)  # signed stays signed
    await prove_all(ledger)
    await changed(ledger, root)  # once more changes nothing
    assert len(await ledger.entries()) == SIZE + 4
    _check(database)


def _check(database: Database) -> None:
    log_keys = {ORIGIN: LOG_KEY.public, NAME: NEW.public}
    engine = sync_engine(database.url, database.file)
    with engine.connect() as connection:
        assert verify_log(connection, {}, log_keys).key == NEW.public
        with pytest.raises(SecureFlowError):
            verify_log(connection, {})
        findings = list(LogCheck(connection, ORIGIN, NEW.public, {}, log_keys).findings())
        bad = [str(one.message) for one in findings]
        assert [one for one in bad if f"leaf {SIZE + 2}:" not in one] == []  # the forged one
    engine.dispose()


async def test_servers_that_start_later_sign_by_the_key_that_the_database_names(
    opened: Callable[[Keys], SqlLedger],
) -> None:
    ledger = opened(keys())
    root = await held(ledger)
    running = keys()
    replica = opened(running)
    await replica.start()
    await changed(ledger, root)
    later = keys()
    again = opened(later)
    await again.start()  # killed after the transaction, before the file took its place
    assert (again.public, later.following, again.origin) == (NEW.public, None, NAME)
    await replica.append(notes(1, 50))  # it ran on meanwhile
    assert replica.public == NEW.public
    assert parse_note(await again.head()).verify_log(NEW.public)
    stolen = opened(keys(None))  # who holds the old key alone
    with pytest.raises(SecureFlowError) as refused:
        await stolen.start()
    assert refused.value.code == "fenced"


@pytest.mark.parametrize("case", ["not held", "held by a rollback", "grown", "key not here"])
async def test_nothing_else_changes_the_key(opened: Callable[[Keys], SqlLedger], case: str) -> None:
    ledger = opened(keys(None) if case == "key not here" else keys())
    root = await held(ledger)
    hold = {"not held": None, "held by a rollback": Hold("restored", NOW, SIZE)}
    if case in hold:
        await ledger.judge(lambda *_: hold[case])
    start = SIZE - 1 if case == "grown" else SIZE
    with pytest.raises(SecureFlowError) as refused:
        await changed(ledger, await ledger.root(start) if case == "grown" else root, start)
    wanted = {"not held": "log_not_set_back", "key not here": "fenced"}
    assert refused.value.code == wanted.get(case, "continuation_refused")
    await ledger.judge(lambda *_: None)
    await ledger.append(notes(1, 60))
    assert (ledger.origin, ledger.public) == (ORIGIN, LOG_KEY.public)
    assert parse_note(await ledger.head()).verify_log(LOG_KEY.public)
