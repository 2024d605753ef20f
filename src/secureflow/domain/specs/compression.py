"""Compression of the changes that parties send: what a training job may ask for.

| method  | what travels of a change                                     | bytes for d values      |
|---------|--------------------------------------------------------------|-------------------------|
| `int8`  | whole numbers of 8 bits, each 1024 with a scale of their own | d + 4 · d/1024          |
| `top_k` | the share of the values that are largest, and their places   | 8 · share · d           |

Under masks `int8` is whole numbers of one public step, `quantisation.clip`/128, so that their sum
is a sum in the ring. What a method leaves out of a change its party adds to the change of its next
round (error feedback; Seide et al. 2014, Karimireddy et al. 2019): in the long run nothing is lost.
`engines.training.sending` has the arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import UNKNOWN_METHOD, UNNAMED_METHOD
from secureflow.domain.specs.base import STRICT

GROUP: Final = 1024
"""Values of a change in 8 bits that have one scale (`engines.sealing.codes`)."""
INT8_BITS: Final = 7
"""Under masks `quantisation.clip` is 2^7 steps: a value is −128 … 128 of them."""


@dataclass(frozen=True)
class Int8:
    """Each value in 8 bits."""

    __pydantic_config__ = STRICT
    method: Literal["int8"]


@dataclass(frozen=True)
class TopK:
    """The `share` of a change's values with the largest amounts, at least one."""

    __pydantic_config__ = STRICT
    method: Literal["top_k"]
    share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.01


METHODS: Final = ("int8", "top_k")


def coded_bytes(compression: Int8 | TopK, size: int) -> int:
    """Return the bytes of a compressed change of this many values, without masks."""
    if isinstance(compression, Int8):
        return size + 4 * -(-size // GROUP)
    return 8 * kept_values(compression, size)


def kept_values(chosen: TopK, size: int) -> int:
    """Return how many values of a change of this many are sent."""
    return max(1, math.ceil(chosen.share * size))


def _offered(value: Any) -> Any:
    """Refuse a method that there is none of, or that is not named."""
    if isinstance(value, Int8 | TopK):
        return value
    named = value.get("method") if isinstance(value, dict) else None
    if not isinstance(named, str):
        raise PydanticCustomError("unnamed_method", UNNAMED_METHOD)
    if named not in METHODS:
        told = {"method": named[:40], "methods": ", ".join(METHODS)}
        raise PydanticCustomError("unknown_method", UNKNOWN_METHOD, told)
    return value


def _method(value: object) -> str:
    method = value.get("method") if isinstance(value, dict) else getattr(value, "method", None)
    return f"<{method[:40]}>" if isinstance(method, str) else "<int8>"


Compression = Annotated[
    Annotated[Int8, Tag("<int8>")] | Annotated[TopK, Tag("<top_k>")],
    Discriminator(_method),
    BeforeValidator(_offered),
]
"""How a job's changes are compressed; without one they travel in the spec's `wire` dtype."""
