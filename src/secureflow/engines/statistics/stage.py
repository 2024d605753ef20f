"""The only stage of a statistics job."""

from __future__ import annotations

from typing import Final

STAGE: Final = "statistics"
