"""What members read of a keeper's file: facts, members, receipts, events, heads, debts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from secureflow.agent.keeper.anchorfile import AnchorFile
from secureflow.agent.keeper.place import FiledPlace
from secureflow.engines.anchors import money
from secureflow.kit.canonical import JSON, canonical_bytes, digest
from secureflow.kit.errors import SecureFlowError

MOST_EVENTS: Final = 500
MOST_BYTES: Final = 2 << 20
"""Of events in one answer."""
MOST_READ: Final = 2000
"""Lines that one question reads: most may have no event."""

Sign = Callable[[int], JSON]


class Questions:
    """Answers questions about the file.

    Args:
        place: what it amounts to.
        file: the file.
    """

    def __init__(self, place: FiledPlace, file: AnchorFile) -> None:
        self._place = place
        self._file = file

    def answer(self, ask: str, about: Mapping[str, Any], sign: Sign) -> JSON:
        """Answer a question of a member.

        Args:
            ask: what is asked.
            about: its details, which are foreign.
            sign: returns the receipt of a line.

        Raises:
            SecureFlowError: `malformed_request`.
        """
        if ask == "place" and not about:
            return self._facts()
        if ask == "members" and not about:
            return self._place.members_now()
        if ask == "transaction" and set(about) == {"id"}:
            number = self._place.receipts.get(_word(about["id"]))
            return {"receipt": None if number is None else sign(number), "lines": self._file.lines}
        if ask == "events" and set(about) == {"line", "hash", "index", "limit"}:
            return self._events(about)
        if ask == "heads" and set(about) == {"log"}:
            return self._heads(_word(about["log"]))
        if ask == "owed" and set(about) == {"payer", "payee", "currency"}:
            words = (bytes.fromhex(_word(about[name])) for name in ("payer", "payee", "currency"))
            state = self._place.state
            return {"amount": str(money.owed(state, *words)) if state else "0"}
        raise _malformed()

    def _facts(self) -> JSON:
        state = self._place.state
        return {
            "founded": state is not None,
            "bound": len(self._place.bindings),
            "members": 0 if state is None else len(state.members),
            "window": 0 if state is None else state.window,
            "successor": "" if state is None else state.successor,
            "lines": self._file.lines,
            "hash": self._file.hash,
            "at": self._place.at,
        }

    def _heads(self, log: str) -> JSON:
        return [
            {**vars(one), "hash": self._file.hash_of(one.line)}
            for one in self._place.newest_heads(log)
        ]

    def _events(self, about: Mapping[str, Any]) -> JSON:
        line, index, limit = (_number(about[name]) for name in ("line", "index", "limit"))
        if not limit:
            raise _malformed()
        known = line <= self._file.lines and self._file.hash_of(line) == about["hash"]
        begin = (line, index) if known and line else (1, -1)
        found: list[JSON] = []
        size, after = 0, begin
        last = min(self._file.lines, begin[0] + MOST_READ)
        for number in range(begin[0], last + 1):
            for one in self._of(number):
                here = (number, int(one["index"]))
                if here <= begin:
                    continue
                if len(found) >= min(limit, MOST_EVENTS) or size > MOST_BYTES:
                    return self._page(found, after, known=known)
                found.append(one)
                size += len(canonical_bytes(one))
                after = here
            after = max(after, (number, after[1] if after[0] == number else MOST_EVENTS))
        return self._page(found, after, known=known)

    def _page(self, found: list[JSON], after: tuple[int, int], *, known: bool) -> JSON:
        number, index = min(after[0], self._file.lines), max(after[1], 0)
        return {
            "events": found,
            "line": number,
            "hash": self._file.hash_of(number),
            "index": index,
            "reorganised": not known,
        }

    def _of(self, number: int) -> list[dict[str, Any]]:
        """Return the events of a line: what was kept, also beside what it contradicts."""
        line = self._file.line(number)
        if line["kind"] != "transaction":
            return []
        body = line["transaction"]["body"]
        pairs = zip(body["entries"], line["results"], strict=True)
        return [
            {
                "entry": entry,
                "sender": body["sender"],
                "result": result,
                "line": number,
                "hash": self._file.hash_of(number),
                "index": index,
                "transaction": digest(body),
                "at": line["at"],
            }
            for index, (entry, result) in enumerate(pairs)
            if result in {"kept", "fork"}
        ]


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise _malformed()
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise _malformed()
    return value


def _malformed() -> SecureFlowError:
    return SecureFlowError(
        "malformed_request",
        "The keeper of anchors does not know the question.",
        "Ask with the same version of SecureFlow.",
    )
