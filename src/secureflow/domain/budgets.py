"""The units of privacy budgets: whose presence an owner's limit protects."""

from __future__ import annotations

from typing import Literal

PrivacyUnit = Literal["record", "party", "person"]
