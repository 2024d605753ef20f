"""What `server restore` leaves in the database (`application.restored`), as the log reads it."""

from __future__ import annotations

import json
from typing import Any

from secureflow.engines.ledger.setback import Hold


def hold_if_restored(row: Any, size: int, now: int) -> Hold | None:
    """Return why a restored log is held; None where none was restored, or it is settled.

    Args:
        row: the row's value as text, or no row.
        size: of the log now.
        now: unix seconds.
    """
    if row is None or row[0] is None:
        return None
    told = json.loads(row[0])
    if told is None or told.get("settled"):
        return None
    return Hold("restored", now, size, kept=size)
