"""The members by the centre's adopted charter; how a charter is shown and signed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.charter import SignedCharter, accept_change, accept_first
from secureflow.kit import crypto
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CURRENT: Final = "charter"
CANDIDATE: Final = "charter_candidate"
"""Names of settings: the adopted charter, and the candidate."""
CHARTER_LOCK: Final = "charter"
"""The name of the lock held to replace either of them."""


async def member_keys(begin: UnitOfWorkFactory) -> Mapping[str, str]:
    """Return organisation → signing key of the adopted charter (empty without one)."""
    async with begin() as work:
        signed = await stored(work, CURRENT)
    return signed.charter.keys if signed else {}


async def stored(work: UnitOfWork, name: str) -> SignedCharter | None:
    """Return the charter stored in a setting, if there is one."""
    value = await work.setting(name)
    return SignedCharter.from_json(value) if value is not None else None


async def described(signed: SignedCharter) -> dict[str, Any]:
    """Return a signed charter with its digest and its fingerprint in words and in digits."""
    charter = signed.charter
    # scrypt takes some 50 ms: in a thread, not to block the event loop.
    words = await asyncio.to_thread(charter.fingerprint_words)
    return {
        **signed.json(),
        "digest": charter.digest,
        "words": words,
        "digits": charter.fingerprint_words("zh"),
    }


def check_candidate(draft: SignedCharter, organisation: str, digest: str) -> None:
    """Refuse a signature for another charter than the candidate.

    Raises:
        SecureFlowError: `charter_mismatch`.
    """
    if draft.charter.digest != digest:
        raise SecureFlowError(
            "charter_mismatch",
            Text(
                "The signature of {organisation} is for charter {digest}, the candidate "
                "is {charter_digest}.",
                organisation=organisation,
                digest=digest[:64],
                charter_digest=draft.charter.digest,
            ),
            "Check the candidate again and sign it.",
        )


def with_signature(
    signed: SignedCharter, keys: Mapping[str, str], organisation: str, signature: str
) -> SignedCharter:
    """Return the charter with one more signature, by one of these keys.

    Raises:
        SecureFlowError: `signature_refused`.
    """
    key = keys.get(organisation)
    if key is None or not crypto.verify(key, "charter", signed.charter.json(), signature):
        raise SecureFlowError(
            "signature_refused",
            Text(
                "The signature is not valid under the key of {organisation}.",
                organisation=organisation,
            ),
            "Sign with the key that the agent enrolled: secureflow agent charter sign.",
        )
    return SignedCharter(signed.charter, {**signed.signatures, organisation: signature})


def continues_log(pinned: SignedCharter, draft: SignedCharter) -> bool:
    """Tell whether a draft lets the log continue under its next name."""
    return len(draft.charter.continuations) > len(pinned.charter.continuations)


def is_key_change(pinned: SignedCharter, draft: SignedCharter) -> bool:
    """Tell whether a draft lets the log continue under another key."""
    return continues_log(pinned, draft) and draft.charter.continuations[-1].changes_key


def suffices(signed: SignedCharter, pinned: SignedCharter | None) -> bool:
    """Tell whether enough members signed: all for a first charter, more than 2/3 for a change."""
    try:
        if pinned is None:
            accept_first(signed)
        else:
            accept_change(pinned.charter, signed)
    except SecureFlowError as error:
        if error.code != "charter_not_signed":
            raise
        return False
    return True
