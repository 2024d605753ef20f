"""Seeds in portions (`tests.seeded`)."""

from __future__ import annotations

from tests.seeded import pytest_generate_tests

__all__ = ["pytest_generate_tests"]
