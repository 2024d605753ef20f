"""Deliveries: notifications on their way out of the centre, and the webhooks that they go to.

A delivery is stored in the transaction that makes its notification and tried until it succeeds, at
least once, under one id; pauses double. What keeps failing stays as a *failed* delivery for
administrators, who may try it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Channel = Literal["webhook", "email"]
DeliveryState = Literal["waiting", "failed"]

FIRST_PAUSE: Final = 10
"""Seconds after the first failure; each further pause is twice as long."""
LONGEST_PAUSE: Final = 6 * 3600
MOST_TRIES: Final = 14
"""About a day and a half."""
MOST_WAITING: Final = 1000
"""Deliveries that one receiver may have waiting; further ones fail at once."""
MOST_FAILED: Final = 200
"""Failed deliveries kept per receiver."""
FAILED_SECONDS: Final = 30 * 86_400
"""How long a failed delivery is kept."""


@dataclass(frozen=True)
class Delivery:
    """One notification to one receiver outside; times in unix seconds.

    Args:
        id: stays the same in every try.
        key: the event, the channel and the receiver: one delivery each.
        channel: `webhook` or `email`.
        target: the webhook, or the user.
        organisation: whose webhook or user it is; "" for the operator's.
        kind: of the notification (`domain.notifications.KINDS`).
        at: when it happened.
        facts: ids, codes, counts and times.
        created, due, tries: when it was made and is tried next; how often it was tried.
        address: where a mail goes, if not to the person's present address.
        state, code: `failed` after the last try, with the last failure's code.
    """

    id: str
    key: str
    channel: Channel
    target: str
    organisation: str
    kind: str
    at: int
    facts: dict[str, Any]
    created: int
    due: int
    tries: int = 0
    state: DeliveryState = "waiting"
    code: str = ""
    address: str = field(default="", repr=False)


@dataclass(frozen=True)
class Webhook:
    """An address to which an organisation's notifications are posted.

    Args:
        id: starts with `whk_`.
        organisation: whose events it gets.
        url: an https address.
        kinds: what it gets; empty: everything.
        created, by: when, and by which user.
        secret: the signing secret, sealed under a key of the centre.
        disabled: it gets nothing.
    """

    id: str
    organisation: str
    url: str
    kinds: tuple[str, ...]
    created: int
    by: str
    secret: str = field(repr=False)
    disabled: bool = False

    def wants(self, kind: str) -> bool:
        """Tell whether it gets this kind."""
        return not self.disabled and (not self.kinds or kind in self.kinds)


def pause_after(tries: int) -> int:
    """Return the seconds until the next try after this many failures."""
    return int(min(FIRST_PAUSE * 2 ** max(0, min(tries, 32) - 1), LONGEST_PAUSE))
