"""What `server restore` leaves in the settings, and how it is settled.

The row stays for ever and says when the centre was restored; `settled` says how the log went on.
"""

from __future__ import annotations

from typing import Final, Literal

from secureflow.application.ports import UnitOfWork

RESTORED: Final = "restored"
"""The name of the row in `settings`."""


async def settle_restored(
    work: UnitOfWork, at: int, how: Literal["continued", "unchanged"]
) -> None:
    """Note how a restored log goes on, unless that is noted or none was restored."""
    told = await work.setting(RESTORED)
    if isinstance(told, dict) and not told.get("settled"):
        await work.set_setting(RESTORED, {**told, "settled": {"at": at, "how": how}})
