"""What a database says of itself once it came out of a backup: a setting that everybody reads.

As long as it stands there unsettled, the log signs nothing: the members may hold newer heads.
"""

from __future__ import annotations

from typing import Any, Final

RESTORED: Final = "restored"
"""The setting: {restored_at, taken_at, origin, size, root, identity}; `settled` comes later."""


def restored_mark(
    reached: dict[str, Any], identity: str, now: int, taken_at: int
) -> dict[str, Any]:
    """Return the setting of a database that was restored now.

    Args:
        reached: origin, size and root of its log.
        identity: the database's.
        now: unix seconds.
        taken_at: when the backup was made; unix seconds.
    """
    return {"restored_at": now, "taken_at": taken_at, "identity": identity, **reached}
