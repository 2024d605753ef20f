"""What a transaction of the chaincode did, as its event says: checked before it is used.

    {"at": seconds, "results": [result, …], "digests": [of each entry, …],
     "happened": [{"index", "result", "sender", "entry"} | {…, "reason"}, …]}

A peer is the member's own or another's; what it says is data, and an event that is not of this
shape comes from another chaincode than ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.application.ports.anchor import Happened, Position, Result
from secureflow.engines.anchors.entries import Entry, parse_entry
from secureflow.engines.anchors.judged import REASONS
from secureflow.kit.canonical import MAX_INTEGER, parse_json
from secureflow.kit.errors import SecureFlowError

MOST_ENTRIES: Final = 64
"""Of one transaction, as the chaincode takes."""
_MOST_BYTES: Final = 8 << 20
_RESULTS: Final[tuple[Result, ...]] = ("kept", "known", "fork", "refused")
_HEX: Final = 64


class Strange(ValueError):  # noqa: N818 - becomes `anchor_refused`
    """It is not what our chaincode says."""


@dataclass(frozen=True)
class Done:
    """A transaction of the chaincode in a block.

    Args:
        id: of the transaction.
        block, hash, index: where it stands.
        code: the peers' verdict; only a `VALID` one did anything.
        results: of each entry.
        reasons: of each entry, why it was refused; else empty.
        digests: of each entry; empty for what could not be read.
        entries: those that are kept, by index: entry, sender, result.
        at: unix seconds, the transaction's.
    """

    id: str
    block: int
    hash: str
    index: int
    code: str
    results: tuple[Result, ...] = ()
    reasons: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    entries: tuple[tuple[int, Entry, str, Result], ...] = ()
    at: int = 0

    def position(self, entry: int = 0) -> Position:
        """Return where an entry stands: transactions of a block in order, and entries in those."""
        return Position(self.block, self.hash, self.index * MOST_ENTRIES + entry)

    def happened(self) -> list[Happened]:
        """Return what is kept of it."""
        return [
            Happened(entry, sender, result, self.position(index), self.id, self.at)
            for index, entry, sender, result in self.entries
        ]


def done_of(told: Any) -> Done:
    """Return what the gateway process said of a transaction.

    Raises:
        Strange: it is of another shape.
    """
    try:
        made = Done(
            _hex(told["id"]),
            _number(told["block"]),
            _hex(told["hash"]),
            _number(told["index"]),
            str(told["code"])[:64],
        )
        if made.code != "VALID" or not told["event"]:
            return made
        return _filled(made, parse_json(told["event"].encode(), _MOST_BYTES))
    except (LookupError, TypeError, AttributeError, ValueError, SecureFlowError) as error:
        raise Strange(*error.args) from error


def _filled(made: Done, event: Any) -> Done:
    results = tuple(_result(one) for one in event["results"])
    digests = tuple(str(one) for one in event["digests"])
    if not 0 < len(results) <= MOST_ENTRIES or len(digests) != len(results):
        raise Strange(len(results))
    entries = tuple(_entry(one, results, digests) for one in event["happened"] if "entry" in one)
    indexes = [one[0] for one in entries]
    wanted = [at for at, one in enumerate(results) if one in ("kept", "fork")]
    if indexes != wanted:
        raise Strange(indexes)
    return replace(
        made,
        results=results,
        reasons=_reasons(event["happened"], results),
        digests=digests,
        entries=entries,
        at=_number(event["at"]),
    )


def _reasons(happened: Any, results: tuple[Result, ...]) -> tuple[str, ...]:
    """Return why entries were refused, in words that are known; another one is left out."""
    said = {_number(one["index"]): one["reason"] for one in happened if "reason" in one}
    return tuple(
        said.get(at, "") if result == "refused" and said.get(at) in REASONS else ""
        for at, result in enumerate(results)
    )


def _entry(
    one: Mapping[str, Any], results: tuple[Result, ...], digests: tuple[str, ...]
) -> tuple[int, Entry, str, Result]:
    index, entry = _number(one["index"]), parse_entry(one["entry"])
    if one["result"] != results[index] or entry.digest.hex() != digests[index]:
        raise Strange(index)
    return index, entry, _hex(one["sender"]), results[index]


def _result(value: object) -> Result:
    for one in _RESULTS:
        if value == one:
            return one
    raise Strange(value)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise Strange(value)
    return value


def _hex(value: object) -> str:
    if not isinstance(value, str) or len(value) != _HEX or bytes.fromhex(value).hex() != value:
        raise Strange(value)
    return value
