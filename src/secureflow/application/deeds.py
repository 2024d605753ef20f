"""Deeds: what changes the platform's state is recorded in the same transaction.

A use case opens a deed, changes entities through its unit of work, and says what it did. Leaving
the block submits the leaves and commits them together with the change, then waits for their
number: there is no state without a record, and none that is recorded but did not happen.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from secureflow.application.ports import Begin, Ledger, PendingLeaf, UnitOfWork
from secureflow.application.recording import server_leaf
from secureflow.engines.ledger.setback import set_back
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey

BEFORE_THE_SCRIPT = -1
"""The `seq` of a job's proposal; its later deeds that no script asked for have smaller ones."""


class Deed:
    """One transaction and the leaves that tell of it."""

    def __init__(self, work: UnitOfWork, ledger: Ledger, key: SigningKey, at: int) -> None:
        self.work = work
        self.leaves: list[PendingLeaf] = []
        self._ledger = ledger
        self._key = key
        self._at = at
        self._seq = secrets.randbits(53)

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

        `turn` tells deeds of one job apart: 0 is its proposal.
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


class Deeds:
    """Opens deeds.

    Args:
        begin: starts units of work.
        ledger: numbers what was submitted.
        key: the log's key; it signs the server's leaves.
        clock: dates them.
    """

    def __init__(self, begin: Begin, ledger: Ledger, key: SigningKey, clock: Clock) -> None:
        self._begin = begin
        self._ledger = ledger
        self._key = key
        self._clock = clock

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Deed]:
        """Open a deed; an exception inside the block leaves nothing behind.

        Raises:
            InfrastructureError: `log_set_back` while the log is held: nothing is done then that
                could not be recorded.
        """
        if (hold := self._ledger.hold) is not None:
            raise set_back(hold, self._ledger.origin)
        async with self._begin() as work:
            deed = Deed(work, self._ledger, self._key, self._clock())
            yield deed
            if deed.leaves:
                await work.leaves.submit(deed.leaves)
            await work.commit()
        # Outside the block: the sequencer needs the database that the transaction held.
        for place in {(leaf.job, leaf.seq) for leaf in deed.leaves}:
            await self._ledger.sequenced(*place)
