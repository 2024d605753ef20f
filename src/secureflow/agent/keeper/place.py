"""What a keeper's file amounts to: the state of the place by its rules, and where to find what.

It is made again from the lines at each start, and must come out as it was answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.engines.anchors.entries import Admit, AnchorHead, Entry
from secureflow.engines.anchors.filed import (
    NOT_SIGNED,
    Receipt,
    Transaction,
    member_json,
    parse_member,
    parse_transaction,
)
from secureflow.engines.anchors.judged import FORK, KEPT, REFUSED, Result
from secureflow.engines.anchors.rules import apply
from secureflow.engines.anchors.state import Member, State, found
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

MOST_HEADS: Final = 1000
"""Heads of one log that are answered at once."""

Verdict = tuple[Result, str]


@dataclass
class KeptHead:
    """A head, who sent it, and where it stands."""

    size: int
    root: str
    sender: str
    line: int
    index: int


@dataclass
class FiledPlace:
    """The place.

    Args:
        name: of it.
        bindings: members that bound their accounts before there was a place, by their keys.
        state: None before the place is founded.
        members: every one that ever was, with its binding.
        receipts: line of each transaction.
        heads: of each log, in the order in which they came.
        at: time of the last line, in unix seconds.
    """

    name: str
    bindings: dict[str, Member] = field(default_factory=dict)
    state: State | None = None
    members: dict[str, Member] = field(default_factory=dict)
    receipts: dict[str, int] = field(default_factory=dict)
    heads: dict[str, list[KeptHead]] = field(default_factory=dict)
    at: int = 0

    def forget(self) -> None:
        """Know nothing, until the lines are replayed."""
        vars(self).update(vars(FiledPlace(self.name)))

    def replay(self, line: Mapping[str, Any], number: int) -> None:
        """Do again what a line of the file did.

        Raises:
            SecureFlowError: `anchor_file_damaged` where it does not come out as it was answered.
        """
        try:
            self._replay(line, number)
        except (SecureFlowError, KeyError, TypeError, ValueError) as error:
            raise SecureFlowError(
                "anchor_file_damaged",
                "The keeper's file does not come out as it was answered.",
                "Start the version of SecureFlow that wrote it, or put a copy of it back.",
            ) from error

    def bind(self, member: Member, at: int) -> None:
        """Take the binding of a member, before there is a place."""
        self.bindings[member.key.hex()] = member
        self.at = at

    def open(self, window: int, members: Sequence[Member], at: int) -> None:
        """Found the place."""
        self.state = found(self.name, members, window)
        self.members = {one.key.hex(): one for one in members}
        self.at = at

    def judge(
        self,
        entries: Sequence[Entry],
        sender: bytes,
        at: int,
        unsigned: Callable[[Entry], bool],
        contradicted: Callable[[Entry], bool],
    ) -> list[Verdict]:
        """Apply entries in their order; the state is changed.

        Args:
            entries: of one transaction.
            sender: its account, which is a charter key.
            at: unix seconds.
            unsigned: whether it is a head that its log did not sign.
            contradicted: whether it is a head that contradicts what the keeper saw itself.
        """
        assert self.state is not None  # noqa: S101  founded: the caller looked
        verdicts: list[Verdict] = []
        for entry in entries:
            if unsigned(entry):
                verdicts.append((REFUSED, NOT_SIGNED))
                continue
            applied = apply(self.state, entry, sender, at)
            result = applied.result
            if result == KEPT and contradicted(entry):
                result = FORK
            admitted = any(one.name == "admitted" for one in applied.events)
            if isinstance(entry, Admit) and admitted:
                member = Member(entry.member, entry.account, entry.signature)
                self.members[entry.member.hex()] = member
            verdicts.append((result, applied.reason))
        return verdicts

    def note(
        self, transaction: Transaction, verdicts: Sequence[Verdict], number: int, at: int
    ) -> None:
        """Remember where a transaction stands, and its heads."""
        self.receipts[transaction.id] = number
        self.at = at
        for index, (entry, (result, _)) in enumerate(
            zip(transaction.entries, verdicts, strict=True)
        ):
            if isinstance(entry, AnchorHead) and result in {KEPT, FORK}:
                sender = transaction.sender.hex()
                head = KeptHead(entry.size, entry.root.hex(), sender, number, index)
                self.heads.setdefault(entry.log.hex(), []).append(head)

    def newest_heads(self, log: str) -> list[KeptHead]:
        """Return all forks of a log and its newest heads, at most `MOST_HEADS`, greatest first."""
        kept = self.heads.get(log, [])
        roots: dict[int, set[str]] = {}
        for one in kept:
            roots.setdefault(one.size, set()).add(one.root)
        ordered = sorted(kept, key=lambda one: (len(roots[one.size]) < 2, -one.size, one.line))
        return ordered[:MOST_HEADS]

    def members_now(self) -> list[JSON]:
        """Return the members by now."""
        now = self.state.members if self.state else {}
        return [member_json(self.members[key]) for key in sorted(now)]

    def may_ask(self, key: bytes) -> bool:
        """Tell whether questions of a key are answered: it is or was a member, or will be one."""
        return key.hex() in self.members or key.hex() in self.bindings

    def _replay(self, line: Mapping[str, Any], number: int) -> None:
        kind, at = line["kind"], int(line["at"])
        if kind == "bound":
            self.bind(parse_member(line["member"]), at)
        elif kind == "founded" and line["place"] == self.name and self.state is None:
            self.open(line["window"], [parse_member(one) for one in line["members"]], at)
        elif kind == "transaction" and self.state is not None:
            transaction = parse_transaction(line["transaction"])
            told = list(zip(line["results"], line["reasons"], strict=True))
            reasons = iter(line["reasons"])
            verdicts = self.judge(
                transaction.entries,
                transaction.sender,
                at,
                lambda _: next(reasons) == NOT_SIGNED,
                lambda entry: isinstance(entry, AnchorHead),
            )
            _check_same(verdicts, told, transaction.entries)
            self.note(transaction, told, number, at)
        else:
            message = "a line of no known kind"
            raise ValueError(message)


def receipt_of(line: Mapping[str, Any], number: int, digest: str, place: str) -> Receipt:
    """Return what a keeper says of a line with a transaction."""
    transaction = parse_transaction(line["transaction"])
    return Receipt(
        place,
        transaction.id,
        number,
        digest,
        line["at"],
        tuple(one.digest.hex() for one in transaction.entries),
        tuple(line["results"]),
        tuple(line["reasons"]),
    )


def _check_same(
    verdicts: Sequence[Verdict], told: Sequence[Verdict], entries: Sequence[Entry]
) -> None:
    """Compare what comes out with what was answered.

    A head that the rules keep may have been called a fork, for what the keeper saw itself then.
    """
    for (result, reason), answered, entry in zip(verdicts, told, entries, strict=True):
        own = isinstance(entry, AnchorHead) and result == FORK and answered == (KEPT, "")
        if (result, reason) != tuple(answered) and not own:
            message = "an entry comes out otherwise"
            raise ValueError(message)
