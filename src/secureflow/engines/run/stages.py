"""Names of stages: how long they may be, and how many. Which a job has is its kind's to say."""

from __future__ import annotations

from typing import Final

STAGE_NAME: Final = r"^[a-z][a-z0-9_-]{0,31}$"
"""A stage's name, in a table and in a foreign request."""
MAX_STAGES: Final = 16
"""Stages of one kind of job."""
