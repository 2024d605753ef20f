"""A transaction of the log whose commit fails: memory is not ahead of the database, nor behind it.

It failed, or it stands and its answer was lost; whoever asked tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.log_store import LogStore
from secureflow.engines.ledger.notes import parse_note
from tests.contract.database.conftest import ORIGIN
from tests.contract.database.test_log import notes, prove_all, signed
from tests.contract.database.test_setback import (
    continued,
    guard,
    refused,
    reopened,
    restored,
    with_charter,
)
from tests.peers.setback import set_back

__all__ = ["reopened"]
NEXT = f"{ORIGIN}~2"
FAULT = "no answer to the commit"
either = pytest.mark.parametrize("stands", [False, True], ids=["failed", "answer lost"])


class _Connection:
    """A connection whose next commit is not answered."""

    def __init__(self, connection: Any, stands: bool) -> None:
        self._connection = connection
        self._stands = stands

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        if self._stands:
            self._connection.commit()
        raise OSError(FAULT)


@contextmanager
def faulty(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch, stands: bool) -> Iterator[None]:
    """Let the log's next transaction end in a fault."""
    engine = ledger._store._engine
    genuine, taken = engine.raw_connection, list[None]()

    def connected() -> Any:
        taken.append(None)
        return _Connection(genuine(), stands) if len(taken) == 1 else genuine()

    with monkeypatch.context() as patch:
        patch.setattr(engine, "raw_connection", connected)
        with pytest.raises(OSError, match=FAULT):
            yield
    assert taken


@either
async def test_a_head_that_was_shown_holds_the_log_at_the_second_try(
    database: Database,
    ledger: SqlLedger,
    reopened: Callable[[], SqlLedger],
    monkeypatch: pytest.MonkeyPatch,
    stands: bool,
) -> None:
    await ledger.append(notes(3))
    newest = await ledger.append(notes(4, 3))
    await set_back(database, 3)
    again = reopened()
    await again.start()
    watching = guard(database, again)
    with faulty(again, monkeypatch, stands):
        await watching.shown("bank-a", [newest.note])
    assert again.hold is None
    assert await watching.shown("bank-a", [newest.note]) is not None
    await refused(again)


@either
async def test_a_restored_log_that_may_go_on_does_so_at_the_second_try(
    database: Database,
    ledger: SqlLedger,
    reopened: Callable[[], SqlLedger],
    monkeypatch: pytest.MonkeyPatch,
    stands: bool,
) -> None:
    await with_charter(database)
    newest = (await ledger.append(notes(3))).note
    await restored(database)
    again = reopened()
    with faulty(again, monkeypatch, stands):
        await again.start()
    assert again.hold is None
    await again.start()
    watching = guard(database, again)
    for member in ("bank-a", "bank-b"):
        await watching.shown(member, [newest])
    judge, tries = again.judge, list[None]()

    async def judged(decide: Any) -> Any:
        tries.append(None)
        if len(tries) < 2:  # that bank-c has nothing newer
            return await judge(decide)
        with faulty(again, monkeypatch, stands):
            await judge(decide)
        raise OSError(FAULT)

    with monkeypatch.context() as patch:
        patch.setattr(again, "judge", judged)
        with pytest.raises(OSError, match=FAULT):
            await watching.shown("bank-c", [newest])
    assert again.hold is not None
    assert await watching.shown("bank-c", [newest]) is None
    await again.append(notes(1, 50))
    await prove_all(again)


@pytest.mark.parametrize("more", [0, 3], ids=["smaller", "of the same size"])
async def test_a_replica_that_did_not_hear_of_a_continuation_goes_on_from_it(
    database: Database,
    ledger: SqlLedger,
    reopened: Callable[[], SqlLedger],
    more: int,
) -> None:
    """It took the shorter log for one that shrank, and its own tree for that of the same size."""
    await ledger.append(notes(5))
    newest = await ledger.append(notes(4, 5))
    await set_back(database, 5)
    again = reopened()
    await again.start()
    await guard(database, again).shown("bank-a", [newest.note])
    await continued(again, 5)
    if more:
        await again.append(notes(more, 40))
    await ledger.append(notes(1, 50))
    assert (ledger.origin, ledger.hold) == (NEXT, None)
    assert await ledger.find(bytes.fromhex(signed(8).hash())) is None  # lost
    assert [await ledger.find(entry.hash) for entry in await ledger.entries()] == list(
        range(7 + more)
    )
    await prove_all(ledger)


async def test_a_database_of_before_a_continuation_is_noticed_by_who_signed_after_it(
    database: Database,
    ledger: SqlLedger,
    reopened: Callable[[], SqlLedger],
) -> None:
    """Whatever its size: it may have grown since under the name that was given up."""
    await ledger.append(notes(5))
    newest = await ledger.append(notes(4, 5))
    await set_back(database, 5)
    again = reopened()
    await again.start()
    await guard(database, again).shown("bank-a", [newest.note])
    await continued(again, 5)
    await set_back(database, 5)
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("UPDATE log_head SET origin = :name"), {"name": ORIGIN})
    older = reopened()
    await older.start()
    await older.append(notes(20, 100))
    await refused(again)
    assert again.hold is not None
    head = parse_note(again.hold.head).checkpoint
    assert (again.hold.cause, head.origin, head.size) == ("shrunk", NEXT, 6)


async def test_a_connection_that_is_lost_in_a_transaction_is_thrown_away(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits is told the fault itself, and the log gets no trace of the pool's own try."""

    def lost(self: LogStore, cursor: Any, size: int) -> str:
        cursor.connection.close()
        raise OSError(FAULT)

    with monkeypatch.context() as patch:
        patch.setattr(LogStore, "_write_checkpoint", lost)
        with pytest.raises(OSError, match=FAULT):
            await ledger.append(notes(2))
    assert not [one for one in caplog.records if one.exc_info]
    assert (await ledger.append(notes(2, 2))).indices == (0, 1)
    await prove_all(ledger)
