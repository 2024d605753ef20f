"""Foreign values, escaped for a terminal."""

from __future__ import annotations

from typing import Any, Final

from secureflow.kit.plain import shown

_LONGEST: Final = 400
"""Maximum characters of one value; more is shown only with `--details`."""


def plain(value: Any) -> str:
    """Return a foreign value as one line without characters that move or hide text."""
    line = shown(" ".join(str(value).split()))
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
