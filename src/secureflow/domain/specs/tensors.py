"""Named tensors: what a model consists of, fixed by the spec before anything is computed.

Rounds carry one vector of float32. It is the model's tensors, flattened in row-major order and put
one behind the other *in the order of their names*, so that a file of tensors has one vector however
it was written. `engines.training.tensors` converts; a layout's digest is in this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, dump
from secureflow.kit.canonical import digest

DType = Literal["float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]
WireType = Literal["float32", "float16", "bfloat16"]
"""The dtypes that a change of the model may have on the wire (`engines.sealing.wiretypes`)."""

TensorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}$")]
Size = Annotated[int, Field(ge=1, le=1 << 30)]
MAX_TENSORS: Final = 4096
"""Most tensors of a model."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a model.

    Args:
        name: unique within the model.
        shape: its sizes; none for a single number.
        dtype: in which the framework holds it.
    """

    __pydantic_config__ = STRICT
    name: TensorName
    shape: Annotated[tuple[Size, ...], Field(max_length=8)]
    dtype: DType = "float32"

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def whole(self) -> bool:
        """Whether its elements are whole numbers, such as a counter."""
        return self.dtype in {"int64", "int32", "uint8", "bool"}


Tensors = tuple[TensorSpec, ...]
"""A model's tensors, in the order of their names."""


def by_name(tensors: Sequence[TensorSpec]) -> Tensors:
    """Return tensors in the order in which they are flattened."""
    return tuple(sorted(tensors, key=lambda one: one.name))


def total(tensors: Sequence[TensorSpec]) -> int:
    """Return the length of the flat vector."""
    return sum(one.size for one in tensors)


def layout_digest(tensors: Sequence[TensorSpec]) -> str:
    """Return the hex SHA-256 over the names, shapes and dtypes (JCS), in the order of names."""
    return digest([dump(one) for one in by_name(tensors)])
