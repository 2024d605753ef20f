"""What `server restore` leaves in the settings, and how it is settled.

The row is permanent and says when the centre was restored; `settled` says how the log continued.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory

RESTORED: Final = "restored"
"""The name of the row in `settings`."""


async def settle_restored(
    work: UnitOfWork, at: int, how: Literal["continued", "unchanged"]
) -> None:
    """Record how a restored log continues, unless that is recorded, or it was not restored."""
    setting = await work.setting(RESTORED)
    if isinstance(setting, dict) and not setting.get("settled"):
        await work.set_setting(RESTORED, {**setting, "settled": {"at": at, "how": how}})


async def restore_times(begin: UnitOfWorkFactory) -> dict[str, Any] | None:
    """Return when this centre was restored, and the time of the backup; None if it never was.

    Anything revoked, disabled or withdrawn in between is in force again, and only people know of
    it.
    """
    async with begin() as work:
        setting = await work.setting(RESTORED)
    if not isinstance(setting, dict):
        return None
    return {name: setting.get(name) for name in ("restored_at", "taken_at")}


async def spend_invitations(work: UnitOfWork, before: int) -> None:
    """Invalidate invitations from before a rollback: they may have been used since.

    `server restore` leaves them out; a database restored by other means still has them.
    """
    for one in await list_readable(work.enrolments):
        if one.used is None and one.created <= before:
            await work.enrolments.save(replace(one, used=before))
