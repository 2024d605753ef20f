"""How often the owner is told of the same: who provokes refusals must not bury what matters.

In an hour a kind of notification is told `PER_CAUSE` times for one cause, and `PER_KIND` times in
all; what comes besides is counted, and the hour ends with one notification that says how many there
were. Critical kinds, and what people here do about grants and accounts, are always told.
"""

from __future__ import annotations

from typing import Any, Final

from secureflow.domain.agentnotificationkinds import SECURITY_KINDS
from secureflow.domain.notifications import Fact, NotificationKind, Severity
from secureflow.kit.canonical import JSON

WINDOW: Final = 3600
PER_CAUSE: Final = 5
PER_KIND: Final = 20
SEVERAL: Final = "several"
"""The cause of what has more than one."""


class Folding:
    """Counts what the owner was told of in the hour that runs, per kind.

    Args:
        kept: as `as_json` returned it; anything else counts as nothing.
    """

    def __init__(self, kept: JSON) -> None:
        known = kept if isinstance(kept, dict) else {}
        self._kinds: dict[str, dict[str, Any]] = {
            name: one for name, one in known.items() if _is_window(one)
        }

    def tells(self, kind: NotificationKind, facts: dict[str, Fact], now: int) -> bool:
        """Return whether a notification is told by itself; else it is counted."""
        own = kind.name in SECURITY_KINDS and facts.get("by") != "centre"
        if kind.severity is Severity.CRITICAL or own:
            return True
        window = self._kinds.setdefault(
            kind.name, {"since": now, "told": 0, "more": 0, "causes": {}, "cause": ""}
        )
        cause, causes = str(facts.get("code", "")), window["causes"]
        if window["told"] < PER_KIND and causes.get(cause, 0) < PER_CAUSE:
            window["told"] += 1
            causes[cause] = causes.get(cause, 0) + 1
            return True
        window["cause"] = cause if window["more"] == 0 or window["cause"] == cause else SEVERAL
        window["more"] += 1
        return False

    def ended(self, now: int) -> list[dict[str, Fact]]:
        """Return the facts of what was counted in hours that are over, and forget those."""
        over = {
            name: one
            for name, one in self._kinds.items()
            if not one["since"] <= now < one["since"] + WINDOW
        }
        for name in over:
            del self._kinds[name]
        return [
            {"kind": name, "code": one["cause"] or name, "count": one["more"]}
            for name, one in sorted(over.items())
            if one["more"]
        ]

    def as_json(self) -> dict[str, JSON]:
        """Return it for the record."""
        return dict(self._kinds)


def _is_window(value: JSON) -> bool:
    numbers = ("since", "told", "more")
    return (
        isinstance(value, dict)
        and all(type(value.get(name)) is int for name in numbers)
        and isinstance(value.get("causes"), dict)
        and isinstance(value.get("cause"), str)
    )
