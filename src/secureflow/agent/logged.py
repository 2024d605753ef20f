"""Own leaves out of the log, as the centre shows them: an older record lacks some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from secureflow.agent.records import OwnLeaf
from secureflow.agent.store import Store
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json, verify
from secureflow.kit.errors import SecureFlowError

JSON = Any
_PAGE: Final = 500


async def own_leaves(
    call: Callable[[str, dict[str, JSON]], Awaitable[JSON]],
    party: str,
    key: str,
    start: int = 0,
    kind: str = "",
) -> AsyncIterator[tuple[list[tuple[SignedLeaf, int]], int]]:
    """Read the log; yield, page by page, what a party certainly signed, and where the page ends.

    Each leaf comes with its place.

    Args:
        call: asks the centre (`audit.entries`).
        party: organisation slug.
        key: its public signing key.
        start: the first entry that is read.
        kind: of the leaves; every kind by default.

    Raises:
        SecureFlowError: `invalid_answer`, `malformed_leaf`; those of the link.
    """
    at = start
    while page := _page(await call("audit.entries", {"start": at, "limit": _PAGE})):
        # Entries of others come without what is not for this organisation's eyes.
        shown = [
            (leaf_from_json(entry["leaf"]), place)
            for place, entry in enumerate(page, start=at)
            if "leaf" in entry
        ]
        at += len(page)
        yield (
            [
                (one, place)
                for one, place in shown
                if one.leaf.author == party and kind in {"", one.leaf.kind} and verify(one, key)
            ],
            at,
        )


def _page(answer: JSON) -> list[dict[str, JSON]]:
    found = answer.get("entries") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SecureFlowError("invalid_answer", "The centre's answer is no page of its log.")
    return found


def take_in(store: Store, signed: SignedLeaf, place: int | None = None) -> None:
    """Put an own leaf of the log into the record, whose bundle does not know what it commits to.

    It is proved, and stands where the centre says; before any head it is neither. A record that
    holds proved leaves and no head is refused (`damage.refuse_headless`); the first head that
    comes proves them.
    """
    leaf, bundle = signed.leaf, {"leaf": signed.json()}
    own = OwnLeaf(signed.hash(), leaf.job, leaf.kind, bundle)
    seen = store.fact("head") is not None
    store.add_leaf(replace(own, proved=1, place=place) if seen else own)
