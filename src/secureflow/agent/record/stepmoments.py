"""The sums that a step of a pipeline trained with: what later steps scale by must be the same."""

from __future__ import annotations

from typing import Final

from secureflow.agent.record.store import RecordStore
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_MOMENTS: Final = "moments/"
"""Beginning of the fact that holds the digest of a part's sums."""


def kept_moments(store: RecordStore, part: str) -> str | None:
    """Return the digest of the sums that a part was trained with here; None if there are none."""
    found = store.fact(_MOMENTS + part)
    return None if found is None else str(found)


def forget_moments(store: RecordStore, part: str) -> None:
    """Forget it, because its pipeline is over; the caller's transaction."""
    if store.fact(_MOMENTS + part) is not None:
        store.set_fact(_MOMENTS + part, None)


def keep_moments(store: RecordStore, part: str, moments: str) -> None:
    """Remember the digest of the sums that a pipeline's step trains with; a transaction of its own.

    Raises:
        SecureFlowError: `model_inconsistent` for others than in an earlier round.
    """
    with store.transaction():
        known = store.fact(_MOMENTS + part)
        if known is None:
            store.set_fact(_MOMENTS + part, moments)
        elif known != moments:
            raise SecureFlowError(
                "model_inconsistent",
                Text("{part} is trained with other sums than in an earlier round.", part=part),
                "The centre must show the sums that were released.",
            )
