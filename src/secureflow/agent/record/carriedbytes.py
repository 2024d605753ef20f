"""How many bytes the channels of a job have carried, on record: a restart forgets none of them."""

from __future__ import annotations

from typing import Final

from secureflow.agent.record.damage import damaged, fact_named
from secureflow.agent.record.store import RecordStore
from secureflow.kit.text import Text

_CARRIED: Final = "carried/"


class CarriedBytes:
    """`agent.peers.carried.Carried`, in the agent's record.

    Args:
        store: the record.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def of(self, job: str) -> int:
        """See `Carried`.

        Raises:
            SecureFlowError: `record_damaged`.
        """
        found = self._store.fact(_CARRIED + job)
        if found is None:
            return 0
        if type(found) is not int:
            raise damaged(Text("{what} cannot be read", what=fact_named(_CARRIED + job)))
        return found

    def reserve(self, job: str, total: int) -> None:
        """See `Carried`; of a job that is over nothing is kept."""
        with self._store.transaction():
            known = self._store.job(job)
            if known is not None and not known.outcome:
                self._store.set_fact(_CARRIED + job, total)


def forget_carried(store: RecordStore, job: str) -> None:
    """Forget it, because the job is over; the caller's transaction."""
    if store.fact(_CARRIED + job) is not None:
        store.set_fact(_CARRIED + job, None)
