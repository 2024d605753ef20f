"""A process's first reservation is preceded by a look for own budget leaves that its record lacks.

If the log has any, a backup was restored: what was spent since then is unknown, and nothing more is
spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from secureflow.agent.record.ownleaves import own_leaves
from secureflow.agent.record.restored import check_complete, remember
from secureflow.agent.record.store import RecordStore
from secureflow.engines.ledger.leaves import SignedLeaf
from secureflow.kit.canonical import JSON

_SCANNED: Final = "budget.scanned"


class Reconciliation:
    """Done once per process, before anything is reserved.

    Args:
        store: the durable record.
        party: organisation slug.
        key: this organisation's public signing key.
        leaf: the kind of budget leaves.
        call: asks the centre (`audit.head`, `audit.entries`).
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        key: str,
        leaf: str,
        call: Callable[[str, Mapping[str, JSON]], Awaitable[JSON]],
    ) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._leaf = leaf
        self._call = call
        self._done = False
        self._lock = asyncio.Lock()

    async def ensure(self) -> None:
        """Search the log, unless this process has; remember what the record lacks.

        Raises:
            SecureFlowError: `budget_rolled_back`.
        """
        async with self._lock:
            if self._done:
                return
            check_complete(self._store, self._party)
            at = int(self._store.fact(_SCANNED) or 0)
            where = self._call, self._store, self._party, self._key, at, self._leaf
            async for found, end in own_leaves(*where):
                lacking = [one for one in found if not self._store.has_leaf(one[0].hash())]
                if lacking:
                    await asyncio.to_thread(self._remember, lacking)
                    check_complete(self._store, self._party)
                at = end
            await asyncio.to_thread(self._keep_scanned, at)
            self._done = True

    def _keep_scanned(self, at: int) -> None:
        with self._store.transaction():
            self._store.set_fact(_SCANNED, at)

    def _remember(self, lacking: Sequence[tuple[SignedLeaf, int]]) -> None:
        with self._store.transaction():
            remember(self._store, lacking)
