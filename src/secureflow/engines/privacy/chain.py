"""The events of one privacy domain: append-only, each chained to the one before by its digest.

- An event counts from the moment that its storage is *attempted*: after a failed write, when it is
  unknown whether it was stored, the chain refuses everything until it is loaded again.
- The owner's own ledger leaves name heads of the chain (domain, number of events, digest of the
  last): a state that lacks one, which is a restored backup, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Event = Mapping[str, Any]
Append = Callable[[Event], None]


class EventChain:
    """One domain's events.

    Args:
        domain: its name in heads and errors.
        append: stores one event durably, or raises.
    """

    def __init__(self, domain: str, append: Append) -> None:
        self._domain = domain
        self._append = append
        self._heads: list[str] = []
        self._settled = True

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self._heads)

    def store(self, event: Event) -> None:
        """Store an event and add it; after a failure `check_settled` refuses."""
        self._settled = False
        self._append(event)
        self._settled = True
        self.add(event)

    def add(self, event: Event) -> None:
        """Add an event that is stored."""
        previous = self._heads[-1] if self._heads else ""
        self._heads.append(digest({"previous": previous, "event": dict(event)}))

    def check_settled(self) -> None:
        """Refuse to go on after a write that failed.

        Raises:
            SecureFlowError: `budget_unsettled`.
        """
        if not self._settled:
            raise SecureFlowError(
                "budget_unsettled",
                Text(
                    "A write to the budget of {domain} failed; whether it is stored is unknown.",
                    domain=self._domain,
                ),
                "Load the budget again; what is open then counts as spent.",
            )

    def unreadable(self) -> SecureFlowError:
        """Return the error for the next event, which cannot be read."""
        return SecureFlowError(
            "budget_corrupt",
            Text(
                "Event {count} of the budget of {domain} is unreadable.",
                count=len(self._heads) + 1,
                domain=self._domain,
            ),
            "Restore the newest copy; the ledger shows which events it must have.",
        )

    @property
    def head(self) -> dict[str, Any]:
        """The content of a ledger leaf: domain, number of events, and the chain's last digest."""
        return {
            "domain": self._domain,
            "events": len(self._heads),
            "digest": self._heads[-1] if self._heads else "",
        }

    def reconcile(self, leaves: Iterable[Mapping[str, Any]]) -> None:
        """Refuse to work on a state that is older than the owner's own ledger leaves.

        Args:
            leaves: heads that this agent itself recorded in the ledger.

        Raises:
            SecureFlowError: `budget_rolled_back`.
        """
        for leaf in leaves:
            if leaf["domain"] != self._domain or not leaf["events"]:
                continue
            at = int(leaf["events"])
            if at > len(self._heads) or self._heads[at - 1] != leaf["digest"]:
                raise SecureFlowError(
                    "budget_rolled_back",
                    Text(
                        "The budget of {domain} has {count} events and lacks number {at},"
                        " which this agent has recorded in the ledger.",
                        domain=self._domain,
                        count=len(self._heads),
                        at=at,
                    ),
                    "A backup was restored: what was spent since then stays spent. Bring back the "
                    "newest state, or close the domain.",
                    {"domain": self._domain, "events": len(self._heads), "recorded": at},
                )
