"""What a log's process remembers is never ahead of its database, whatever failed.

Also the other way round: a commit whose answer was lost, and what another server did.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.charters import Charters
from secureflow.application.continuing import Continuing
from secureflow.application.setback import LogGuard
from secureflow.application.transactions import Transactions
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.ledger import merkle
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.errors import InfrastructureError
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import BANKS, notes
from tests.contract.database.test_setback import (  # noqa: F401
    NOW,
    OPERATOR,
    reopened,
    with_charter,
)
from tests.doubles import NotingDriver
from tests.peers.setback import set_back

Reopen = Callable[[], SqlLedger]


def full_disk() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    error.sqlite_errorname = "SQLITE_FULL"
    return error


def fails_once(
    monkeypatch: pytest.MonkeyPatch, ledger: SqlLedger, method: str, statement: str
) -> None:
    """Let one statement of the log's store meet a full disk, once."""
    real, met = getattr(ledger._store, method), list[str]()

    def run(cursor: Any, name: str, rows: Any) -> None:
        if name == statement and not met:
            met.append(name)
            raise full_disk()
        real(cursor, name, rows)

    monkeypatch.setattr(ledger._store, method, run)


def loses_an_answer(monkeypatch: pytest.MonkeyPatch, ledger: SqlLedger, statement: str) -> None:
    """Let the commit that follows a statement be done, and fail for whoever asked."""
    real, lost = ledger._store._run, list[str]()
    connect = ledger._store._engine.raw_connection

    def run(cursor: Any, name: str, rows: Any) -> None:
        if name == statement and not lost:
            lost.append(name)
        real(cursor, name, rows)

    class Connection:
        def __init__(self) -> None:
            self._real = connect()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def commit(self) -> None:
            self._real.commit()
            if lost == [statement]:
                lost.append("answered")
                raise full_disk()

    monkeypatch.setattr(ledger._store, "_run", run)
    monkeypatch.setattr(ledger._store._engine, "raw_connection", Connection)


@dataclass
class Held:
    """A log that was set back by an entry, and a continuation that only signatures lack."""

    database: Database
    ledger: SqlLedger
    charters: Charters
    draft: Charter

    async def sign(self, *names: str) -> None:
        for name in names:
            signature = BANKS[name].sign("charter", self.draft.json())
            await self.charters.add_signature(name, self.draft.digest, signature)

    async def adopted(self) -> str:
        async with self.database.begin() as unit:
            return SignedCharter.from_json(await unit.setting("charter")).charter.origin


@pytest.fixture
async def held(database: Database, ledger: SqlLedger, reopened: Reopen) -> Held:  # noqa: F811
    await with_charter(database)
    first = await ledger.append(notes(3))
    newest = await ledger.append(notes(1, 3))
    await set_back(database, first.size)
    again = reopened()
    await again.start()
    continuing = Continuing(database.begin, again, LOG_KEY, NotingDriver(), lambda: NOW)
    transactions = Transactions(database.begin, again, LOG_KEY, lambda: NOW)
    charters = Charters(database.begin, transactions, "example.org", again, continuing)
    await LogGuard(database.begin, again, continuing, lambda: NOW).shown("bank-a", [newest.note])
    draft = Charter.from_json((await charters.draft_continuation(OPERATOR))["charter"])
    return Held(database, again, charters, draft)


async def test_a_continuation_that_met_a_full_disk_is_done_again(
    held: Held,
    reopened: Reopen,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was taken for done: a charter of a log that there is not, and no command out of it."""
    fails_once(monkeypatch, held.ledger, "_run_many", "add_leaf")
    *others, last = BANKS
    await held.sign(*others)
    with pytest.raises(InfrastructureError, match="disk_full"):
        await held.sign(last)
    assert (held.ledger.origin, held.ledger.hold is None) == (ORIGIN, False)
    await held.sign(last)  # its owner asks again, when there is room
    fresh = reopened()
    await fresh.start()
    assert (await held.adopted(), fresh.origin, fresh.hold) == (f"{ORIGIN}~2", f"{ORIGIN}~2", None)


async def test_a_continuation_whose_answer_was_lost_stands_once(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    loses_an_answer(monkeypatch, held.ledger, "rename")
    *others, last = BANKS
    await held.sign(*others)
    with pytest.raises(InfrastructureError):
        await held.sign(last)
    await held.sign(last)
    assert (await held.adopted(), held.ledger.origin) == (f"{ORIGIN}~2", f"{ORIGIN}~2")
    recorded = await held.ledger.append(notes(2, 90))
    assert await told(held.ledger) == parse_note(recorded.note).checkpoint.root


async def test_another_servers_continuation_is_followed(held: Held, ledger: SqlLedger) -> None:
    """Its numbers and nodes are others than this server remembers."""
    await held.sign(*BANKS)
    recorded = await ledger.append(notes(1, 91))
    assert (ledger.origin, ledger.hold) == (f"{ORIGIN}~2", None)
    assert await told(ledger) == parse_note(recorded.note).checkpoint.root


async def told(ledger: SqlLedger) -> bytes:
    """Return the root of what the ledger shows of its entries."""
    tree = merkle.MemoryTree()
    tree.append(*(entry.data for entry in await ledger.entries()))
    size = len(await ledger.entries())
    for index in range(size):
        assert await ledger.inclusion(index, size) == tree.inclusion_proof(index)
    return tree.root()


async def test_a_log_that_shrank_signs_nothing_though_its_hold_could_not_be_kept(
    database: Database, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was signed was forgotten before the hold stood: the next try signed a second history."""
    await ledger.append(notes(3))
    await ledger.append(notes(4, 3))
    await set_back(database, 3)
    fails_once(monkeypatch, ledger, "_run", "hold")
    with pytest.raises(InfrastructureError, match="disk_full"):
        await ledger.append(notes(1, 900))
    with pytest.raises(InfrastructureError, match="log_set_back"):
        await ledger.append(notes(1, 900))
