"""What `server restore` leaves in the database, as the log reads it.

The row stays for ever and says when the centre was restored; `settled` says how the log went on.
"""

from __future__ import annotations

import json
from typing import Any, Final

from secureflow.engines.ledger.setback import Hold

RESTORED: Final = "restored"
"""The name of the row in `settings`."""


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
