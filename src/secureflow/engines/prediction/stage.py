"""The only stage of a prediction."""

from __future__ import annotations

from typing import Final

STAGE: Final = "predict"
