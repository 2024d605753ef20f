"""Notifications: what people are told of, and how little each of them says.

Every kind of notification stands in one catalogue (`notificationkinds.KINDS`): its severity, its
facts, its text, and the object that it leads to. A notification carries ids, codes, counts and
times only, on every channel: no name, purpose, column or reason that somebody wrote, and no secret.
Whoever may see the object reads the rest there. A fact of another shape is withheld (`checked`), so
nothing that a member or the network wrote gets into an inbox, an e-mail or another system.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from secureflow.kit.text import Text

Fact = str | int
Facts = Mapping[str, Fact]
WITHHELD: Final = "?"
"""Stands for a fact that is missing or not shaped like an id."""
MOST_KEPT: Final = 500
"""Notifications kept per person; beyond that read ones go first, then the oldest."""
_SHAPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,199}")
_LARGEST: Final = (1 << 53) - 1


class Severity(StrEnum):
    """How much a notification matters: `critical` ones cannot be switched off in the inbox."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class NotificationKind:
    """One kind of the catalogue.

    Args:
        name: its name in the API, in preferences and in webhooks.
        severity: how much it matters.
        facts: the names of the facts that it carries.
        about: the fact whose object it leads to, or "".
        noun: what that object is, as a path of the API names it.
        told: its text.
        security: whether it is about who gets into an account: it cannot be switched off anywhere.
    """

    name: str
    severity: Severity
    facts: tuple[str, ...]
    about: str
    noun: str
    told: Callable[[Facts], Text]
    security: bool = False

    def checked(self, facts: Mapping[str, Any]) -> dict[str, Fact]:
        """Return this kind's facts, with those withheld that are no ids, codes or numbers."""
        return {name: _checked(facts.get(name)) for name in self.facts}

    def text(self, facts: Facts) -> Text:
        """Return the text with its facts; missing ones are withheld."""
        return self.told({name: facts.get(name, WITHHELD) for name in self.facts})

    def link(self, facts: Facts) -> str:
        """Return the path of the object below the API's or console's address, or ""."""
        key = facts.get(self.about, WITHHELD)
        return f"/{self.noun}/{key}" if self.about and key != WITHHELD else ""


@dataclass(frozen=True)
class Notification:
    """One notification of one person; `id` grows, times are unix seconds."""

    id: int
    user: str
    kind: str
    at: int
    facts: dict[str, Fact] = field(default_factory=dict)
    read: int | None = None


@dataclass(frozen=True)
class Preferences:
    """What a person wants to be told, and where; `id` is the user's.

    Args:
        id: of the user.
        language: of e-mails: `en` or `zh`.
        email: the address, or "".
        confirmed: whether the person has shown that mail to the address reaches them.
        mailed: kinds that are e-mailed; None: everything from `warning` on.
        silenced: kinds that the inbox leaves out.
        code: a MAC of the code that confirms the address; `tries` left for it.
    """

    id: str
    language: str = "en"
    email: str = ""
    confirmed: bool = False
    mailed: tuple[str, ...] | None = None
    silenced: tuple[str, ...] = ()
    code: str = field(default="", repr=False)
    tries: int = 0

    def shows(self, kind: NotificationKind) -> bool:
        """Tell whether the inbox shows a kind."""
        return kind.severity is Severity.CRITICAL or kind.name not in self.silenced

    def mails(self, kind: NotificationKind) -> bool:
        """Tell whether a kind is e-mailed."""
        if not self.email or not self.confirmed:
            return False
        if kind.security:
            return True
        if self.mailed is None:
            return kind.severity is not Severity.INFO
        return kind.name in self.mailed


def _checked(value: object) -> Fact:
    if isinstance(value, bool):
        return WITHHELD
    if isinstance(value, int):
        return value if 0 <= value <= _LARGEST else WITHHELD
    return value if isinstance(value, str) and _SHAPE.fullmatch(value) else WITHHELD
