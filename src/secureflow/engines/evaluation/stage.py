"""The only stage of an evaluation."""

from __future__ import annotations

from typing import Final

STAGE: Final = "measure"
