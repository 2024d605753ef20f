"""The state of a log that was rolled back: it signs nothing until that is resolved.

A log is *held* from the moment that someone shows a head that it signed itself and does not hold
(`shown`), that its own process finds it smaller than what that process signed (`shrunk`), or that
it was restored from a backup (`restored`): nobody knows then what was signed after the backup, and
a smaller head under the same origin would be the log's own proof of fraud. It is held as well while
its members decide on another signing key (`key`): the old one ends with the head that they sign.

A party's statement counts only if the log's own key signed it: nobody can put a log on hold with
an invented head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, Self, get_args

from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

Cause = Literal["restored", "shown", "shrunk", "key"]

MAX_SHOWN: Final = 64
"""Heads that a party shows at once, and own leaves of which it states the index."""
CONTINUE: Final = "secureflow charter continue"
"""The operator's way out if the newest database is lost."""
SIGN_KEY: Final = "secureflow agent charter sign"
"""What members do about a log that is held while its key changes."""


@dataclass(frozen=True)
class Hold:
    """Why a log is held.

    Args:
        cause: how it was noticed.
        at: unix seconds.
        own: the number of entries in the log at that time.
        head: the greatest head that the log signed and does not hold, with its signature; empty
            until one is shown.
        by: the party that showed it.
        seen: parties whose newest head is known, and is one of the log's.
        kept: up to where the log is known to be the old one: the greatest head or own leaf that
            someone showed and that was found in its place.
        forked: the smallest size at which the log is known to differ from what it signed; 0 while
            it is only shorter.
    """

    cause: Cause
    at: int
    own: int
    head: str = ""
    by: str = ""
    seen: tuple[str, ...] = ()
    kept: int = 0
    forked: int = 0

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Self:
        """Read the stored form."""
        return cls(**{**value, "seen": tuple(value["seen"])})

    def json(self) -> dict[str, JSON]:
        """Return the stored form."""
        return {**asdict(self), "seen": list(self.seen)}

    @property
    def old_size(self) -> int:
        """The size of the greatest head that was shown; the log's own until one is shown."""
        return noted_size(self.head) if self.head else self.own

    @property
    def start(self) -> int:
        """The number of entries of the present log that can begin a continuation."""
        return min(self.own, self.kept) if self.forked else self.own

    @property
    def lost(self) -> int:
        """The number of entries of the old log that are not known to be kept."""
        return max(0, self.old_size - self.start)

    def confirmed(self, party: str, kept: int = 0) -> Hold:
        """Return the hold after a party's heads were found in the log."""
        seen = self.seen if party in self.seen else (*self.seen, party)
        return replace(self, seen=seen, kept=max(self.kept, kept))

    def differing(self, size: int) -> Hold:
        """Return the hold after the log was found to differ from what it signed, at a size or 0."""
        sizes = [one for one in (self.forked, size) if one]
        return replace(self, forked=min(sizes, default=0))

    def with_shown_head(self, party: str, note: str) -> Hold:
        """Return the hold after a party showed a head that the log signed and does not hold."""
        known = replace(self.confirmed(party), cause="shown")
        if self.head and noted_size(self.head) >= noted_size(note):
            return known
        return replace(known, head=note, by=party)

    def facts(self, origin: str) -> dict[str, JSON]:
        """Return the facts for people, as JSON for programs."""
        old = parse_note(self.head).checkpoint if self.head else None
        return {
            "cause": self.cause,
            "origin": origin,
            "at": self.at,
            "own": self.own,
            "old": self.old_size,
            "old_root": old.root.hex() if old else "",
            "shown_by": self.by,
            "start": self.start,
            "lost": self.lost,
            "seen": list(self.seen),
        }


def set_back(hold: Hold, origin: str, waiting: tuple[str, ...] = ()) -> InfrastructureError:
    """Return the refusal for anyone who needs a held log.

    Args:
        hold: why it is held.
        origin: the log.
        waiting: members whose newest head is not known yet, of a restored log.
    """
    facts = {**hold.facts(origin), "waiting": list(waiting)}
    if hold.cause == "key":
        return _key_changing(hold, origin, facts)
    if hold.cause == "restored" and not hold.head:
        return _restored(hold, origin, waiting, facts)
    who = Text("{party} holds", party=hold.by) if hold.by else "it signed"
    message = Text(
        "The log {origin} was rolled back: {who} its head of size {old_size}, and the "
        "log has {own} entries now. {lost} entries are lost. It signs nothing.",
        origin=origin,
        who=who,
        old_size=hold.old_size,
        own=hold.own,
        lost=hold.lost,
    )
    if hold.forked:
        message = Text(
            "The log {origin} was rolled back: {who} its head of size {old_size}, and "
            "the log has {own} entries now, and differs from it after {start}. {lost}"
            " entries are lost. It signs nothing.",
            origin=origin,
            who=who,
            old_size=hold.old_size,
            own=hold.own,
            start=hold.start,
            lost=hold.lost,
        )
    return InfrastructureError(
        "log_set_back",
        message,
        Text(
            "Put the newest database back and start the server again. If it is lost, the "
            "members can continue the log under a new name: {command}.",
            command=CONTINUE,
        ),
        facts,
    )


def _restored(
    hold: Hold, origin: str, waiting: tuple[str, ...], facts: dict[str, JSON]
) -> InfrastructureError:
    missing = ", ".join(waiting) or "the members' agents"
    return InfrastructureError(
        "log_set_back",
        Text(
            "The centre was restored from a backup: its log {origin} of {own} entries"
            " signs nothing until every member's agent has shown its newest head. Not"
            " yet: {missing}.",
            origin=origin,
            own=hold.own,
            missing=missing,
        ),
        Text(
            "Have them start their agents. If one holds a newer head: {command}.",
            command=CONTINUE,
        ),
        facts,
    )


def _key_changing(hold: Hold, origin: str, facts: dict[str, JSON]) -> InfrastructureError:
    return InfrastructureError(
        "log_set_back",
        Text(
            "The log {origin} gets another signing key: it signs nothing after its {own} entries "
            "until more than two thirds of the members have signed the charter that names it.",
            origin=origin,
            own=hold.own,
        ),
        Text(
            "Members compare the words and sign: {command}. The operator can give it up: "
            "secureflow charter log-key --give-up.",
            command=SIGN_KEY,
        ),
        facts,
    )


def not_set_back(origin: str) -> SecureFlowError:
    """Return the refusal to continue a log that is intact."""
    return SecureFlowError(
        "log_not_set_back",
        Text("The log {origin} is not held: nothing shows that it was rolled back.", origin=origin),
        "There is nothing to continue. `secureflow doctor` shows the state of the server.",
    )


def start_differs(start: int) -> SecureFlowError:
    """Return the refusal of a continuation whose beginning is not in the log."""
    return SecureFlowError(
        "continuation_refused",
        Text(
            "The first {start} entries of the log are not those that the continuation names.",
            start=start,
        ),
        Text("Draft it again: {command}.", command=CONTINUE),
    )


def head_only(note: str) -> str:
    """Return a note with only the log's own signature: the form in which a party shows its heads.

    Raises:
        SecureFlowError: `malformed_note`.
    """
    origin = parse_note(note).checkpoint.origin
    lines = note.split("\n")
    own = [line for line in lines[4:] if line.startswith(f"\u2014 {origin} ")]
    return "\n".join([*lines[:4], *own, ""]) if own else note


def read_hold(value: JSON) -> Hold | None:
    """Read a stored hold; None if there is none or it is malformed."""
    try:
        hold = Hold.from_json(value)
        sizes = (hold.at, hold.own, hold.old_size, hold.kept, hold.forked)
        texts = (hold.head, hold.by, *hold.seen)
    except (TypeError, KeyError, ValueError, AttributeError, SecureFlowError):
        return None
    sound = all(type(one) is int and one >= 0 for one in sizes)
    sound &= all(isinstance(one, str) for one in texts) and hold.cause in get_args(Cause)
    return hold if sound else None
