"""Who the members are, by the charter that the centre goes by, and how it shows one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

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


async def described(signed: SignedCharter) -> dict[str, Any]:
    """Return a signed charter with its digest and its fingerprint in words and in digits."""
    charter = signed.charter
    # scrypt takes some 50 ms: in a thread, so that nobody else waits.
    words = await asyncio.to_thread(charter.fingerprint_words)
    return {
        **signed.json(),
        "digest": charter.digest,
        "words": words,
        "digits": charter.fingerprint_words("zh"),
    }
