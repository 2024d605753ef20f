"""The owner states how many ids were tested against a restored agent's domain since the backup.

The record does not contain it, and no bundle of a job says how long the partners' lists were. What
can be found is shown before the owner answers: the jobs in which the log holds own entries about a
budget that the record lacks.
"""

from __future__ import annotations

import asyncio

from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.agent.owner.probing import Probing
from secureflow.agent.record.restored import locked, settle
from secureflow.agent.record.store import RecordStore
from secureflow.engines.privacy.probing import chain_name
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class ProbingRecovery:
    """Counts what was tested since a backup, and unlocks domains.

    Args:
        probing: of this agent.
        budgets: takes own entries in that the log shows.
        store: the agent's record.
        clock: unix seconds.
    """

    def __init__(
        self, probing: Probing, budgets: BudgetRecovery, store: RecordStore, clock: Clock
    ) -> None:
        self._probing = probing
        self._budgets = budgets
        self._store = store
        self._clock = clock

    async def settle(self, domain: str, tested: int | None) -> dict[str, JSON]:
        """Count ids as tested against a domain and unlock it; with None, only show what is known.

        Own entries that the log shows stay in the record even if this is refused.

        Returns:
            The `domain`, the `jobs` whose own entries the record lacked, and the ids that
            remain (`remaining`); None while nothing is stated.

        Raises:
            SecureFlowError: `probing_undeclared`, `probing_not_locked`, `invalid_request` for a
                number below 0; those of `BudgetRecovery.take_in`.
        """
        self._probing.rule(domain)
        self._check(domain)
        jobs = await self._budgets.take_in()
        left = None if tested is None else await asyncio.to_thread(self._settle, domain, tested)
        return {"domain": domain, "jobs": jobs, "remaining": left}

    def _settle(self, domain: str, tested: int) -> int:
        if not 0 <= tested < 1 << 53:
            raise SecureFlowError(
                "invalid_request",
                Text("{tested} is no number of ids.", tested=tested),
                "State how many ids others tested since the backup, 0 if none.",
            )
        now = self._clock()
        with self._store.transaction():
            self._check(domain)  # again: the command may have been given twice at once
            left = self._probing.enter(domain, tested, now)
            settle(self._store, chain_name(domain))
            self._store.note(
                now, "probing.settled", "", domain=domain, tested=tested, remaining=left
            )
        return left

    def _check(self, domain: str) -> None:
        if not locked(self._store, chain_name(domain)):
            raise SecureFlowError(
                "probing_not_locked",
                Text("The probing limit of {domain} is not locked.", domain=domain),
                "secureflow agent probing list shows every domain.",
            )
