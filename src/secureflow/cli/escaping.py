"""Foreign values as a terminal may show them."""

from __future__ import annotations

from typing import Any, Final

from secureflow.kit.plain import shown

_LONGEST: Final = 400
"""Of one value, in characters; a terminal line more is shown by `--details` alone."""


def plain(value: Any) -> str:
    """Return a foreign value as one line without anything that moves or hides text."""
    line = shown(" ".join(str(value).split()))
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
