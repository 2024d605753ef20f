"""Priorities of jobs that wait for their turn (`domain.queue`), and who may choose which."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

LOWEST: Final = 0
HIGHEST: Final = 9
USUAL: Final = 5
"""The priority of a job for which nobody chose one, and the highest that a scientist may choose."""
OF_ORGANISATION: Final = 7
"""The highest priority that an organisation's administrator may give its jobs."""

Priority = Annotated[int, Field(ge=LOWEST, le=HIGHEST)]
