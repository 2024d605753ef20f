"""What the elements of images and arrays are, in declarations and in jobs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

DataType = Literal[
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
]  # fmt: skip
"""What the elements of an array are; `image` columns are always uint8."""
Shape = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...], Field(min_length=1, max_length=8)
]
CHANNELS: Final = (1, 3, 4)
"""The channels of an image: grey, RGB, RGBA."""
