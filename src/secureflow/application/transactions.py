"""Transactions of the unit of work, together with the log leaves that record them.

A use case opens a transaction, changes entities through its unit of work, and records what it did.
Leaving the block submits the leaves and commits them together with the change, then waits for their
numbers: no state changes without a record, and nothing is recorded that did not happen. The answer
to the caller can be kept in the same transaction (`answering`), so that whoever did not hear it,
and asks again, gets the same.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import PendingLeaf, UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.recording import server_leaf
from secureflow.engines.ledger.setback import set_back
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError
from secureflow.kit.logging import get_logger

T = TypeVar("T")
_log = get_logger(__name__)

BEFORE_THE_SCRIPT = -1
"""The `seq` of a job's proposal; later changes of it that no script asked for have smaller ones."""


class Keeper(Protocol):
    """Keeps the answer to the caller of a use case, in the transaction of its change."""

    async def __call__(self, work: UnitOfWork, told: object) -> None:
        """Keep it; the first transaction of a request counts."""


_KEEPER: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


@contextmanager
def answering(keeper: Keeper) -> Iterator[None]:
    """Have the answer of the transaction in this block kept with it."""
    token = _KEEPER.set(keeper)
    try:
        yield
    finally:
        _KEEPER.reset(token)


async def keep_answer(work: UnitOfWork, told: object) -> None:
    """Have what a caller is told kept in a unit of work, if somebody keeps such."""
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
        """Say what the caller is told of it; return that."""
        self._told = [told]
        return told

    def then(self, act: Callable[[], object]) -> None:
        """Say what follows in this process; also where nobody knows whether the commit stands."""
        self._following.append(act)

    def follow(self) -> None:
        """Do what follows."""
        for act in self._following:
            act()

    async def keep_answer(self) -> None:
        """Have the answer kept, if it was said and somebody keeps such."""
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
        """Say what is done; the document is kept beside the log, which holds its commitment.

        `turn` tells changes of one job apart: 0 is its proposal.
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
        ledger: numbers what was submitted.
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

    @asynccontextmanager
    async def __call__(self, *, held: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction; an exception inside the block leaves nothing behind.

        Args:
            held: also while the log is held: its leaves then wait until the log goes on. For what
                shuts somebody out, which must not wait, and for what the members have signed.

        Raises:
            InfrastructureError: `log_set_back` while the log is held: nothing is done then that
                could not be recorded.
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
                transaction.follow()  # it may stand, and whoever asks again is only told so
                raise
        transaction.follow()
        # Outside the block: the sequencer needs the database that the transaction held.
        try:
            for place in {(leaf.job, leaf.seq) for leaf in transaction.leaves}:
                await self._ledger.sequenced(*place)
        except InfrastructureError as error:
            # It is done, and recorded with it: the next leaf's turn gives this one its number.
            _log.warning(
                "number_owed", code=error.code, kinds=[one.kind for one in transaction.leaves]
            )
