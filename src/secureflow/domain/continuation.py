"""A continuation: how the members let a log continue under a new name, and why.

Either the log was rolled back, and the continuation says what it lost; or its signing key changes,
and the continuation says where the old key ends. It stays in the charter permanently: everyone who
uses the charter knows every gap and every key, and no operator can leave one out. It changes
nothing else: the members stay the same, and the log key after a rollback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Final

from secureflow.domain.origins import following
from secureflow.kit import crypto
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden
from secureflow.kit.text import Text

MAX_CONTINUATIONS: Final = 64
MAX_NOTE: Final = 2048
MAX_REASON: Final = 200
_MAX_SIZE: Final = 1 << 53
_ROOT: Final = re.compile(r"[0-9a-f]{64}")
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,255}")
"""As in `charter`: messages quote only short, visible texts."""


@dataclass(frozen=True)
class Continuation:
    """One rollback, or change of the log's key, after which the members let the log continue.

    Args:
        origin: the log's name before it.
        size: of the greatest head that members hold of it.
        root: that head's root, hex.
        note: that head as the log signed it.
        start: how many entries the log still has: it continues after them.
        start_root: the root over those, hex.
        log_key: for a change of the key, the key that ends with that head; else empty.
        reason: for a change of the key, why, for people.
    """

    origin: str
    size: int
    root: str
    note: str
    start: int
    start_root: str
    log_key: str = ""
    reason: str = ""

    @property
    def lost(self) -> int:
        """How many entries the log lost."""
        return self.size - self.start

    @property
    def changes_key(self) -> bool:
        """Whether the log goes on under another key."""
        return self.log_key != ""

    def json(self) -> dict[str, Any]:
        """Return the JSON form; a rollback's is as it was before keys could change."""
        body = asdict(self)
        return body if self.changes_key else {name: body[name] for name in _ROLLBACK}

    @classmethod
    def from_json(cls, value: Any) -> Continuation:
        """Build it from parsed foreign JSON; raises `malformed_charter`."""
        changes = isinstance(value, dict) and "log_key" in value
        names = {one.name for one in fields(cls)} if changes else set(_ROLLBACK)
        if not isinstance(value, dict) or set(value) != names:
            raise _malformed(
                Text("a continuation needs exactly {names}", names=", ".join(sorted(names)))
            )
        if changes and value["log_key"] == "":  # it would not be the JSON that was signed
            raise _malformed("a continuation's log key is empty: leave it out")
        return cls(**value)

    def problem(self) -> str:
        """Return why it is invalid, or ""."""
        texts = (self.origin, self.root, self.note, self.start_root, self.log_key, self.reason)
        if not all(isinstance(one, str) for one in texts) or _too_long(self.note):
            return "a continuation's texts must be strings that are not too long"
        if not _ORIGIN.fullmatch(self.origin):
            return "a continuation's origin needs 1-255 printable characters"
        return self._number_problem() or self._key_problem()

    def _number_problem(self) -> str:
        if not (_ROOT.fullmatch(self.root) and _ROOT.fullmatch(self.start_root)):
            return "a continuation's root must be a hex SHA-256"
        if type(self.size) is not int or type(self.start) is not int:
            return "a continuation's size must be an integer"
        if not 0 <= self.start <= self.size < _MAX_SIZE:
            return "a continuation does not start at or before the old head"
        if self.start == self.size and self.start_root != self.root:
            return "a continuation that loses nothing has another root"
        return ""

    def _key_problem(self) -> str:
        if not self.changes_key:
            return "a continuation has a reason and no key that ends" if self.reason else ""
        try:
            crypto.public_key(self.log_key)
        except SecureFlowError:
            return "a continuation's log key must be a base64 Ed25519 key"
        if not 1 <= len(self.reason) <= MAX_REASON or hidden(self.reason):
            return "the reason of a new log key needs 1-200 printable characters"
        if self.start != self.size:
            return "a continuation with a new log key loses entries: only one of both"
        return ""


def _too_long(note: str) -> bool:
    """Tell whether a note is too long; half a surrogate pair has no UTF-8, and so no length."""
    return len(note) > MAX_NOTE or any("\ud800" <= one <= "\udfff" for one in note)


_ROLLBACK: Final = tuple(
    one.name for one in fields(Continuation) if one.name not in {"log_key", "reason"}
)


def log_keys(origin: str, log_key: str, continuations: Sequence[Continuation]) -> dict[str, str]:
    """Return the key of each of a log's names: only it signs heads and entries under that name."""
    keys = {origin: log_key}
    for one in reversed(continuations):
        log_key = one.log_key or log_key
        keys[one.origin] = log_key
    return keys


def check_continuations(origin: str, log_key: str, continuations: Sequence[Continuation]) -> None:
    """Refuse continuations that do not lead to this origin and key one after another.

    A key that ended never comes back.

    Raises:
        SecureFlowError: `malformed_charter`.
    """
    if len(continuations) > MAX_CONTINUATIONS:
        raise _malformed(
            Text(
                "there are more than {max_continuations} continuations",
                max_continuations=MAX_CONTINUATIONS,
            )
        )
    for one in continuations:
        if problem := one.problem():
            raise _malformed(problem)
    ended = [one.log_key for one in continuations if one.changes_key]
    if len({*ended, log_key}) != len(ended) + 1:
        raise _malformed("a log key that ended comes back")
    starts = [one.start for one in continuations]
    if any(after <= before for before, after in pairwise(starts)):
        raise _malformed("a continuation starts before the first entry of an earlier one")
    names = [one.origin for one in continuations] + [origin]
    for before, after in pairwise(names):
        if after != following(before):
            raise _malformed(Text("{after} does not continue {before}", after=after, before=before))


def check_following(
    before: tuple[str, str, Sequence[Any], Sequence[Continuation]],
    after: tuple[str, str, Sequence[Any], Sequence[Continuation]],
) -> None:
    """Refuse a next charter that drops a continuation, or adds one with other changes.

    Args:
        before: origin, log key, members and continuations of the version before.
        after: those of the next one.

    Raises:
        SecureFlowError: `charter_mismatch`.
    """
    known, new = list(before[3]), list(after[3])
    if new[: len(known)] != known or len(new) > len(known) + 1:
        raise _mismatch("It leaves out or changes a continuation of the log.")
    if len(new) == len(known):
        if after[0] != before[0]:
            raise _mismatch("It names another log without a continuation.")
        if after[1] != before[1]:
            raise _mismatch("It names another log key without saying where the old one ends.")
        return
    if new[-1].origin != before[0]:
        raise _mismatch(
            Text(
                "It continues {origin}, and the log is {before}.",
                origin=new[-1].origin,
                before=before[0],
            )
        )
    last = new[-1]
    if list(after[2]) != list(before[2]):
        raise _mismatch("It continues the log and changes the log's key or members as well.")
    if (last.log_key or after[1]) != before[1]:
        raise _mismatch("It ends another log key than the one in use.")


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_charter",
        Text("The charter is malformed: {reason}.", reason=reason),
        "Ask its sender for the file again; do not edit a charter by hand.",
    )


def _mismatch(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "charter_mismatch",
        Text("The new charter does not follow the pinned one. {reason}", reason=reason),
        "Do not sign or pin it: show it to the other members, and ask the operator.",
    )
