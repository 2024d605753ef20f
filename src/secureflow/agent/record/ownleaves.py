"""Reads own leaves from the log, as shown by the centre: an older record lacks some.

The log is read up to its signed size, neither further nor less far: a centre can show pages without
end, and it can stop showing them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Final

from secureflow.agent.record.ownkeys import HOW_TO_PIN, is_signed_by, recorded_keys
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Call = Callable[[str, dict[str, JSON]], Awaitable[JSON]]
_PAGE: Final = 500


async def own_leaves(
    call: Call,
    store: RecordStore,
    party: str,
    key: str,
    start: int = 0,
    kind: str = "",
) -> AsyncIterator[tuple[list[tuple[SignedLeaf, int]], int]]:
    """Read the log; yield, page by page, what a party certainly signed, and the page's end.

    Each leaf comes with its index.

    Args:
        call: asks the centre (`audit.head`, `audit.entries`).
        store: the record, with the pinned charter and the earlier ones, which give the party's
            keys.
        party: organisation slug.
        key: its current public signing key.
        start: the first entry that is read.
        kind: of the leaves; every kind by default.

    Raises:
        SecureFlowError: `invalid_answer`, `malformed_leaf`, `malformed_note`,
            `ledger_bad_signature`, `charter_not_pinned`; those of the link.
    """
    at, size = start, await _signed_size(call, store, party)
    keys = recorded_keys(store, party, key)
    while at < size:
        page = _page(await call("audit.entries", {"start": at, "limit": _PAGE}))
        if not page:
            raise _invalid(
                Text("shows {at} of the {size} entries that its log signed", at=at, size=size)
            )
        # Entries of others come without the parts that this organisation may not see.
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
                if one.leaf.author == party
                and kind in {"", one.leaf.kind}
                and is_signed_by(one, keys)
            ],
            at,
        )


async def _signed_size(call: Call, store: RecordStore, party: str) -> int:
    """Return the number of entries that the log has signed, under whatever origin it continues."""
    kept = store.fact("charter")
    if kept is None:
        raise SecureFlowError(
            "charter_not_pinned",
            Text(
                "{party} has not pinned a charter yet, so it knows no key of the log.", party=party
            ),
            HOW_TO_PIN,
        )
    answer = await call("audit.head", {"from": 0})
    note = answer.get("note") if isinstance(answer, dict) else None
    if not isinstance(note, str):
        raise _invalid("is not a head of its log")
    head = parse_note(note)
    if not head.verify_log(SignedCharter.from_json(kept).charter.log_key):
        raise SecureFlowError(
            "ledger_bad_signature",
            Text(
                "The head of size {size} is not signed by the log's pinned key.",
                size=head.checkpoint.size,
            ),
            "Do not continue: compare the charter's log key with the other members, out of band.",
        )
    return head.checkpoint.size


def _page(answer: JSON) -> list[dict[str, JSON]]:
    found = answer.get("entries") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _invalid("is not a page of its log")
    if len(found) > _PAGE:
        raise _invalid(
            Text(
                "is a page of {count} entries instead of {page}",
                count=len(found),
                page=_PAGE,
            )
        )
    return found


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError("invalid_answer", Text("The centre's answer {reason}.", reason=reason))


def add_missing_leaf(store: RecordStore, signed: SignedLeaf, place: int | None = None) -> None:
    """Add an own leaf from the log to the record; its bundle lacks the committed content.

    It counts as proved, at the index that the centre gives; without a head it has neither. A record
    with proved leaves but no head is refused (`damage.require_head`); the first head proves
    them.
    """
    leaf, bundle = signed.leaf, {"leaf": signed.json()}
    own = OwnLeaf(signed.hash(), leaf.job, leaf.kind, bundle)
    seen = store.fact("head") is not None
    store.add_leaf(replace(own, proved=1, place=place) if seen else own)
