"""The only stage of a private set intersection."""

from __future__ import annotations

from typing import Final

STAGE: Final = "intersect"
