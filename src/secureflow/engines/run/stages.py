"""Limits of stages: the length of their names, and their number. Each kind defines its own."""

from __future__ import annotations

from typing import Final

STAGE_NAME: Final = r"^[a-z][a-z0-9_-]{0,31}$"
"""A stage's name, in a table and in a request from outside."""
MAX_STAGES: Final = 16
"""Stages of one kind of job."""
