"""Who the members are, by the charter that the centre goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.application.ports import Begin, UnitOfWork
from secureflow.domain.charter import SignedCharter

CURRENT: Final = "charter"
CANDIDATE: Final = "charter_candidate"
"""Names of settings: the adopted charter, and the one that waits for signatures."""


async def member_keys(begin: Begin) -> Mapping[str, str]:
    """Return organisation → signing key of the adopted charter (empty without one)."""
    async with begin() as work:
        signed = await stored(work, CURRENT)
    return signed.charter.keys if signed else {}


async def stored(work: UnitOfWork, name: str) -> SignedCharter | None:
    """Return the charter under a setting's name, if there is one."""
    value = await work.setting(name)
    return SignedCharter.from_json(value) if value is not None else None
