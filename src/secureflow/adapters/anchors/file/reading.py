"""What a keeper answers, read strictly: a signature says who wrote it, not that it makes sense."""

from __future__ import annotations

import re
from typing import Any, Final

from secureflow.application.ports.anchor import AnchoredHead, Happened, Position
from secureflow.engines.anchors.entries import parse_entry
from secureflow.engines.anchors.filed import untrue
from secureflow.kit.errors import SecureFlowError

_WORD: Final = re.compile(r"[0-9a-f]{64}")
_EVENT: Final = frozenset(
    {"entry", "sender", "result", "line", "hash", "index", "transaction", "at"}
)
_HEAD: Final = frozenset({"size", "root", "sender", "line", "hash", "index"})


def happened_of(value: Any) -> Happened:
    """Read an event.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    if (
        not isinstance(value, dict)
        or set(value) != _EVENT
        or value["result"] not in ("kept", "fork")  # in no set: it may be a list
    ):
        raise malformed()
    try:
        entry = parse_entry(value["entry"])
    except SecureFlowError as error:
        raise malformed() from error
    return Happened(
        entry,
        _word(value["sender"]),
        value["result"],
        _position(value),
        _word(value["transaction"]),
        _number(value["at"]),
    )


def head_of(log: bytes, value: Any) -> AnchoredHead:
    """Read a head.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    if not isinstance(value, dict) or set(value) != _HEAD:
        raise malformed()
    root = bytes.fromhex(_word(value["root"]))
    sender = _word(value["sender"])
    return AnchoredHead(log, _number(value["size"]), root, sender, _position(value))


def cursor_of(value: Any) -> Position | None:
    """Read where a page ends; none before the first line.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    line, index = _number(value.get("line")), _number(value.get("index"))
    return Position(line, _word(value.get("hash")), index) if line else None


def malformed() -> SecureFlowError:
    """Return the refusal of an answer that makes no sense."""
    return untrue("an answer is malformed")


def _position(value: Any) -> Position:
    return Position(_number(value["line"]), _word(value["hash"]), _number(value["index"]))


def _word(value: Any) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise malformed()
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise malformed()
    return value
