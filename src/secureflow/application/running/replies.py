"""The shapes of parties' answers: one of another shape is that party's failure.

A script reads answers after they were journalled, so a defect that one provokes there would stop
the job for everybody and say nobody's name. What an answer *means* (signatures, digests) is the
script's to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from secureflow.engines.script import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden

_Check = Callable[[Any], bool]


def _text(longest: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _shown_object(value: Any) -> bool:
    """Tell whether it is an object whose texts, which people see, hide nothing."""
    return isinstance(value, dict) and _plain(value)


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return not hidden(value)
    if isinstance(value, dict):
        return all(_plain(name) and _plain(one) for name, one in value.items())
    return all(map(_plain, value)) if isinstance(value, list) else True


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


_NEEDED: Final[Mapping[str, Mapping[str, _Check]]] = {
    "consent": {"approval": _object},
    "challenge": {"nonce": _text(64), "recipient": _text(8192), "signature": _text(128)},
    "admit": {"verdict": _shown_object},
    "close": {"vote": _object},
}
_POSSIBLE: Final[Mapping[str, _Check]] = {
    "leaf": _object,
    "rows": _count,
    "cosignature": _text(1024),
    "model_key": _text(8192),
    "vector": _text(64),
}
"""Members that answers to several verbs may have, or have as null."""


def checked_reply(verb: str, party: str, reply: JSON) -> dict[str, JSON]:
    """Return a party's reply, if it has the shape of an answer to the verb.

    Raises:
        SecureFlowError: `malformed_reply` naming the party and the member.
    """
    if not isinstance(reply, dict):
        raise _malformed(verb, party, "it is no object")
    for name, fits in _NEEDED.get(verb, {}).items():
        if not fits(reply.get(name)):
            raise _malformed(verb, party, f"{name} is missing or of another type or length")
    for name, fits in _POSSIBLE.items():
        if reply.get(name) is not None and not fits(reply[name]):
            raise _malformed(verb, party, f"{name} is of another type or length")
    if not _objects(reply.get("leaves", [])):
        raise _malformed(verb, party, "leaves is no list of objects")
    return reply


def _malformed(verb: str, party: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_reply",
        f"The answer of {party} to '{verb}' is malformed: {reason}.",
        "Its agent is faulty or of another version: ask the organisation.",
        {"party": party, "verb": verb},
    )
