"""The only stage of a preparation job."""

from __future__ import annotations

from typing import Final

STAGE: Final = "fit"
