"""Own leaves out of the log, as the centre shows them: an older record lacks some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from secureflow.agent.records import OwnLeaf
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json, verify

JSON = Any
_PAGE: Final = 500


async def own_leaves(
    call: Callable[[str, dict[str, JSON]], Awaitable[JSON]],
    party: str,
    key: str,
    start: int = 0,
    kind: str = "",
) -> AsyncIterator[tuple[list[SignedLeaf], int]]:
    """Read the log; yield, page by page, what a party certainly signed, and where the page ends.

    Args:
        call: asks the centre (`audit.entries`).
        party: organisation slug.
        key: its public signing key.
        start: the first entry that is read.
        kind: of the leaves; every kind by default.
    """
    at = start
    while page := (await call("audit.entries", {"start": at, "limit": _PAGE}))["entries"]:
        # Entries of others come without what is not for this organisation's eyes.
        shown = [leaf_from_json(entry["leaf"]) for entry in page if "leaf" in entry]
        at += len(page)
        mine = [one for one in shown if one.leaf.author == party and kind in {"", one.leaf.kind}]
        yield [one for one in mine if verify(one, key)], at


def taken_in(signed: SignedLeaf, place: int | None = None) -> OwnLeaf:
    """Return a leaf of the log for the record: proved, and what it commits to is not known."""
    leaf, bundle = signed.leaf, {"leaf": signed.json()}
    return OwnLeaf(signed.hash(), leaf.job, leaf.kind, bundle, 1, 0, place)
