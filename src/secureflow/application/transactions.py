"""Transactions of the unit of work, together with the log leaves that record them.

A use case opens a transaction, changes entities through its unit of work, and records what it did.
Leaving the block submits the leaves and commits them together with the change, then waits for their
numbers: no state changes without a record, and nothing is recorded that did not happen. The answer
to the caller can be kept in the same transaction (`answering`), so that a caller who did not
receive it gets the same on a retry.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import PendingLeaf, UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.recording import BEFORE_THE_SCRIPT, server_leaf
from secureflow.engines.ledger.setback import set_back
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger

T = TypeVar("T")
_log = get_logger(__name__)


class Keeper(Protocol):
    """Stores the answer to the caller of a use case, in the transaction of its change."""

    async def __call__(self, work: UnitOfWork, told: object) -> None:
        """Store it; the first transaction of a request counts."""


_KEEPER: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


@contextmanager
def answering(keeper: Keeper) -> Iterator[None]:
    """Store the answer of the transaction in this block with it."""
    token = _KEEPER.set(keeper)
    try:
        yield
    finally:
        _KEEPER.reset(token)


async def keep_answer(work: UnitOfWork, told: object) -> None:
    """Store the answer to a caller in a unit of work, if there is a keeper."""
    keeper = _KEEPER.get()
    if keeper is not None:
        await keeper(work, told)


class Transaction:
    """One transaction and the leaves that record it."""

    def __init__(self, work: UnitOfWork, ledger: Ledger, key: SigningKey, at: int) -> None:
        self.work = work
        self.leaves: list[PendingLeaf] = []
        self._ledger = ledger
        self._key = key
        self._at = at
        self._seq = secrets.randbits(53)
        self._told: list[object] = []
        self._following: list[Callable[[], object]] = []

    def answer(self, told: T) -> T:
        """Set the answer to the caller, and return it."""
        self._told = [told]
        return told

    def then(self, act: Callable[[], object]) -> None:
        """Set a follow-up in this process; it also runs if the commit's outcome is unknown."""
        self._following.append(act)

    def follow(self) -> None:
        """Run the follow-ups."""
        for act in self._following:
            act()

    async def keep_answer(self) -> None:
        """Store the answer, if it was set and there is a keeper."""
        if self._told:
            await keep_answer(self.work, self._told[0])

    def record(
        self,
        kind: str,
        document: Mapping[str, Any],
        *,
        job: str = "",
        spec: str = "",
        turn: int = 0,
    ) -> None:
        """Record an action; its document is stored with the log, which holds a commitment to it.

        `turn` distinguishes changes of one job: 0 is its proposal.
        """
        leaf = server_leaf(
            kind,
            dict(document),
            self._ledger.origin,
            self._key,
            self._at,
            job=job,
            spec=spec,
            seq=BEFORE_THE_SCRIPT - turn if job else self._seq,
            position=len(self.leaves),
        )
        self.leaves.append(leaf)


class Transactions:
    """Opens transactions.

    Args:
        begin: starts units of work.
        ledger: numbers submitted leaves.
        key: the log's key; it signs the server's leaves.
        clock: dates them.
    """

    def __init__(
        self, begin: UnitOfWorkFactory, ledger: Ledger, key: SigningKey, clock: Clock
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._key = key
        self._clock = clock
        self._owed = asyncio.Event()

    @asynccontextmanager
    async def __call__(
        self, *, held: bool = False, numbered: bool = True
    ) -> AsyncIterator[Transaction]:
        """Open a transaction; an exception inside the block leaves nothing behind.

        Args:
            held: also while the log is held: its leaves then wait until the log continues. For
                revocations, which must not wait, and for what the members have signed.
            numbered: wait for the numbers of the leaves. Logins do not: `keep_numbered` sees to
                that, and a start, should the process end before.

        Raises:
            InfrastructureError: `log_set_back` while the log is held: nothing is done that cannot
                be recorded.
        """
        if (hold := self._ledger.hold) is not None and not held:
            raise set_back(hold, self._ledger.origin)
        async with self._begin() as work:
            transaction = Transaction(work, self._ledger, self._key, self._clock())
            yield transaction
            if transaction.leaves:
                await work.leaves.submit(transaction.leaves)
            await transaction.keep_answer()
            try:
                await work.commit()
            except InfrastructureError:
                transaction.follow()  # it may be committed; a retry only returns the answer
                raise
        transaction.follow()
        if not numbered:
            self._owed.set()
            return
        # Outside the block: the sequencer needs the database that the transaction held.
        try:
            for place in {(leaf.job, leaf.seq) for leaf in transaction.leaves}:
                await self._ledger.sequenced(*place)
        except InfrastructureError as error:
            # It is committed with its leaf, which is numbered together with the next one.
            _log.warning(
                "number_owed", code=error.code, kinds=[one.kind for one in transaction.leaves]
            )

    async def keep_numbered(self) -> None:
        """Number the leaves for whose numbers nobody waits, until cancelled."""
        while True:
            await self._owed.wait()
            self._owed.clear()
            try:
                await self._ledger.caught_up()
            except SecureFlowError as error:  # they are numbered together with the next one
                _log.warning("number_owed", code=error.code)
            except Exception:  # noqa: BLE001  the edge of a task: an unavailable database comes back
                _log.exception("number_owed")
