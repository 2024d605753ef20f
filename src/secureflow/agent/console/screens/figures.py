"""Small parts of screens: shares of a limit, plain texts, numbers as people read them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import computed_field

from secureflow.kit.plain import shown
from secureflow.kit.reading import MAX_LINES
from secureflow.kit.text import Text

DAY: Final = 86_400
LITTLE: Final = 0.2
"""Of a limit: with a smaller share left, little is left."""
SLACK: Final = 1e-9
"""Of sums of ε, which are rounded."""


@dataclass(frozen=True)
class Share:
    """How much of a limit is used.

    Args:
        used: so far, reserved or not.
        limit: None: there is none.
        reserved: what of `used` is only set aside.
    """

    used: float
    limit: float | None
    reserved: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def left(self) -> float | None:
        """What is left; None without a limit."""
        return None if self.limit is None else max(0.0, self.limit - self.used)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def spent(self) -> float:
        """What is used up, without what is only reserved."""
        return max(0.0, self.used - self.reserved)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return self.limit is not None and self.used >= self.limit - SLACK

    @property
    def little(self) -> bool:
        """Whether something is left, and little."""
        left = self.left
        return not self.exhausted and left is not None and left < LITTLE * (self.limit or 0.0)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def level(self) -> str:
        """How it stands: `none`, `ok`, `low` or `over`."""
        if self.limit is None:
            return "none"
        return "over" if self.exhausted else "low" if self.little else "ok"


def figure(value: Any) -> str:
    """Return a number in four digits; anything else as it is, and nothing for none."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    return amount(value) if isinstance(value, int | float) else plain(value)


def amount(value: float) -> str:
    """Return a whole number whole, and another one in four digits."""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def plain(value: Any) -> str:
    """Return a value of a JSON answer as text in which nothing is hidden; a text of ours stays."""
    if value is None:
        return ""
    return value if isinstance(value, Text) else shown(str(value))


def exact(value: float) -> str:
    """Return a number as it is meant, not rounded: of what somebody signs."""
    return f"{value:,.15g}"


def texts(value: Any, most: int = MAX_LINES) -> tuple[str, ...]:
    """Return the texts of a list, plain, and of a longer one the first."""
    return tuple(plain(one) for one in value[:most]) if isinstance(value, list | tuple) else ()


def whole(value: Any) -> int:
    """Return a whole number of 0 or more; 0 for none."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if known and 0 <= value < 1 << 53 else 0


def second(value: Any) -> int:
    """Return unix seconds; 0 for none."""
    return whole(value)


def ratio(value: Any) -> float:
    """Return a number of 0 or more."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and 0 <= value < 1e300 else 0.0


def limit(value: Any) -> float | None:
    """Return a limit, None for none."""
    return ratio(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def day(seconds: int) -> str:
    """Return unix seconds as a date in UTC, as fields of forms hold it."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def text_of(value: Mapping[str, Any], name: str) -> str:
    """Return a member as plain text, empty for none."""
    return plain(value.get(name))
