"""What `server restore` leaves in the settings, and how it is settled.

The row stays for ever and says when the centre was restored; `settled` says how the log went on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from secureflow.application.listing import every
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory

RESTORED: Final = "restored"
"""The name of the row in `settings`."""


async def settle_restored(
    work: UnitOfWork, at: int, how: Literal["continued", "unchanged"]
) -> None:
    """Note how a restored log goes on, unless that is noted or none was restored."""
    setting = await work.setting(RESTORED)
    if isinstance(setting, dict) and not setting.get("settled"):
        await work.set_setting(RESTORED, {**setting, "settled": {"at": at, "how": how}})


async def restore_times(begin: UnitOfWorkFactory) -> dict[str, Any] | None:
    """Return when this centre was restored and of when the backup was; None where it never was.

    What was revoked, disabled or withdrawn in between is in force again, and only people know it.
    """
    async with begin() as work:
        setting = await work.setting(RESTORED)
    if not isinstance(setting, dict):
        return None
    return {name: setting.get(name) for name in ("restored_at", "taken_at")}


async def spend_invitations(work: UnitOfWork, before: int) -> None:
    """Let no invitation of before a set-back admit anybody: it may have been used since.

    `server restore` leaves them out; a database that came back by a copy still has them.
    """
    for one in await every(work.enrolments):
        if one.used is None and one.created <= before:
            await work.enrolments.save(replace(one, used=before))
