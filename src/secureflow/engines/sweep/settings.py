"""What a point of a sweep sets."""

from __future__ import annotations

from secureflow.domain.specs.sweep import SweepSpec
from secureflow.kit.canonical import JSON


def sets_of(spec: SweepSpec, number: int) -> dict[str, JSON]:
    """Return what a point (from 1) sets, by field."""
    point = spec.points[number - 1]
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted(point.items())
    }
