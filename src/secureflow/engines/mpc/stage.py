"""The only stage of a computation among parties."""

from __future__ import annotations

from typing import Final

STAGE: Final = "compute"
