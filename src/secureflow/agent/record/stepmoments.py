"""The sums that steps of a pipeline trained with: what later steps scale by must be the same."""

from __future__ import annotations

from typing import Final

from secureflow.agent.record.store import RecordStore
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOMENTS: Final = "moments/"
"""Beginning of the fact that holds, of a pipeline, the digests of its parts' sums."""


def kept_moments(store: RecordStore, whole: str, part: str) -> str | None:
    """Return the digest of the sums that a part was trained with here; None if there are none."""
    found = (store.fact(MOMENTS + whole) or {}).get(part)
    return None if found is None else str(found)


def keep_moments(store: RecordStore, whole: str, part: str, moments: str) -> None:
    """Remember the digest of the sums that a pipeline's step trains with; a transaction of its own.

    Raises:
        SecureFlowError: `model_inconsistent` for others than in an earlier round.
    """
    with store.transaction():
        known = kept_moments(store, whole, part)
        if known is None:
            every = store.fact(MOMENTS + whole) or {}
            store.set_fact(MOMENTS + whole, {**every, part: moments})
        elif known != moments:
            raise SecureFlowError(
                "model_inconsistent",
                Text("{part} is trained with other sums than in an earlier round.", part=part),
                "The centre must show the sums that were released.",
            )
