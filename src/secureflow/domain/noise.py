"""How an analyst asks for noise. The unit that it hides is the data owners', and not in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT
from secureflow.domain.specs.statistics import Sharing


@dataclass(frozen=True)
class NoiseWish:
    """The part of `StatisticsPrivacy` that an analyst chooses; the centre adds the owners' unit.

    Without a `noise_multiplier` it is calibrated from `epsilon`.
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    noise: Sharing = "shared"
    mechanism: Literal["gaussian", "laplace"] = "gaussian"
    library: Literal["opendp", "pydp"] = "opendp"
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None
