"""Limits on one update of a model, and how its values become elements of a ring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


@dataclass(frozen=True)
class Limits:
    """Limits on one update, which the enclave enforces before it folds."""

    __pydantic_config__ = STRICT
    max_weight: Annotated[int, Field(ge=1, le=1 << 31)] = 1_000_000
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1000.0
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class Quantisation:
    """How values become ring elements where updates are masked (`secagg`, `sealed+secagg`).

    Every coordinate of an update is clamped to ±`clip`, which is 2^`bits` steps. Sums are exact in
    Z_2^32 if roster · 2^bits · limits.max_weight is below 2^31, else in Z_2^64.
    """

    __pydantic_config__ = STRICT
    clip: Annotated[float, Field(ge=1e-6, le=1e6)] = 8.0
    bits: Annotated[int, Field(ge=8, le=40)] = 20
