"""Why the log is held, from the database: stored with its head, or left by `server restore`.

`application.restored` has the row that a restore leaves.
"""

from __future__ import annotations

from typing import Any

from secureflow.adapters.database.damage import damaged_log, load_json
from secureflow.domain.origins import continues
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.setback import Hold, read_hold


def stored_hold(text: Any, origin: str) -> Hold | None:
    """Return why the log is held, or None. An unreadable reason must not pass for None.

    A hold because of a head of an earlier name is over: since then the members let the log
    continue.

    Args:
        text: as stored.
        origin: the log's current name.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    if text is None:
        return None
    hold = read_hold(load_json(text))
    if hold is None:
        raise damaged_log("why it is held cannot be read")
    shown = parse_note(hold.head).checkpoint.origin if hold.head else origin
    return hold if continues(shown, origin) else None


def hold_if_restored(row: Any, size: int, now: int) -> Hold | None:
    """Return why a restored log is held; None if it was not restored, or this is settled.

    Args:
        row: the row's value as text, or None.
        size: of the log now.
        now: unix seconds.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    setting = None if row is None or row[0] is None else load_json(row[0])
    if setting is not None and not isinstance(setting, dict):
        raise damaged_log("when it was restored cannot be read")
    if setting is None or setting.get("settled"):
        return None
    return Hold("restored", now, size, kept=size)
