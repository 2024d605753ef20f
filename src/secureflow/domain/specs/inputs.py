"""Inputs of a model that are no cell of a table: images, arrays and texts.

Every owner of a job declares the same shape and dtype; what becomes of an element is the same for
every party and in every prediction (`engines.preparation.tensorcolumns`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds, bounds_problem
from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Column, Problem
from secureflow.domain.specs.elements import CHANNELS, DataType, Shape
from secureflow.kit.text import Text

BYTES_VOCABULARY: Final = 257
"""Padding, and a token for each value of a byte."""
MAX_INPUTS: Final = 1 << 24
"""Most model inputs that one column makes of a row."""

_PerChannel = Annotated[
    tuple[Annotated[float, Field(ge=-1e3, le=1e3)], ...], Field(min_length=1, max_length=4)
]
_Spread = Annotated[
    tuple[Annotated[float, Field(ge=1e-3, le=1e3)], ...], Field(min_length=1, max_length=4)
]


@dataclass(frozen=True)
class ImageFeature:
    """A column of images; its values are divided by 255, so that they lie in 0 … 1.

    Args:
        column: its name.
        shape: [height, width, channels], as every owner declares it.
        mean: of each channel, subtracted from the values in 0 … 1; public constants.
        std: of each channel, by which the result is divided.
    """

    __pydantic_config__ = STRICT
    column: Column
    shape: Shape
    mean: Annotated[_PerChannel | None, UNLESS_NONE] = None
    std: Annotated[_Spread | None, UNLESS_NONE] = None

    @property
    def width(self) -> int:
        """The number of model inputs."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ArrayFeature:
    """A column of arrays; each element is clamped to the bounds, which are scaled to −1 … 1.

    Args:
        column: its name.
        shape: of one row, as every owner declares it.
        bounds: of every element.
        dtype: of the elements, as every owner declares it.
    """

    __pydantic_config__ = STRICT
    column: Column
    shape: Shape
    bounds: Bounds
    dtype: DataType = "float32"

    @property
    def width(self) -> int:
        """The number of model inputs."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class TextFeature:
    """A column of texts, of which a model sees whole numbers; 0 is padding.

    Args:
        column: its name.
        length: how many tokens of a text are read.
        tokens: `bytes` (of UTF-8), or `words`, whose numbers follow from a hash.
        vocabulary: how many numbers there are, padding included: 257 for bytes.
    """

    __pydantic_config__ = STRICT
    column: Column
    length: Annotated[int, Field(ge=1, le=1 << 16)] = 256
    tokens: Literal["bytes", "words"] = "bytes"
    vocabulary: Annotated[int, Field(ge=2, le=1 << 20)] = BYTES_VOCABULARY

    @property
    def width(self) -> int:
        """The number of model inputs, where a model sees how often each token occurs."""
        return self.vocabulary - 1


Images = tuple[ImageFeature, ...]
Arrays = tuple[ArrayFeature, ...]
Texts = tuple[TextFeature, ...]
TensorFeature = ImageFeature | ArrayFeature | TextFeature


def input_problem(inputs: tuple[TensorFeature, ...]) -> Problem | None:
    """Return a contradiction in images, arrays or texts, or None."""
    for one in inputs:
        if isinstance(one, ImageFeature):
            problem = _image_problem(one)
        elif isinstance(one, ArrayFeature):
            problem = _array_problem(one)
        else:
            problem = _text_problem(one)
        if problem is not None:
            field, reason, hint = problem
            return f"features.{one.column}.{field}", reason, hint
        if one.width > MAX_INPUTS:
            reason = Text("a row has more than {most} inputs of it", most=MAX_INPUTS)
            return f"features.{one.column}", reason, "Use smaller ones."
    return None


def _image_problem(one: ImageFeature) -> Problem | None:
    if len(one.shape) != 3 or one.shape[2] not in CHANNELS:
        reason = "an image has a height, a width and 1, 3 or 4 channels"
        return "shape", reason, "Use the shape that its owners declare."
    if (one.mean is None) != (one.std is None):
        return "mean", "mean and std belong together", "Name both, or neither."
    for constants in (one.mean, one.std):
        if constants is not None and len(constants) != one.shape[2]:
            return "mean", "there must be one for each channel", "Name as many."
    return None


def _array_problem(one: ArrayFeature) -> Problem | None:
    problem = bounds_problem(one.bounds)
    return ("bounds", problem, "Use the owners' declared bounds.") if problem else None


def _text_problem(one: TextFeature) -> Problem | None:
    if one.tokens == "bytes" and one.vocabulary != BYTES_VOCABULARY:
        reason = Text("bytes have a vocabulary of {size}", size=BYTES_VOCABULARY)
        return "vocabulary", reason, "Leave it out, or use words."
    return None


def differing_elements(
    feature: ImageFeature | ArrayFeature, shape: tuple[int, ...] | None, dtype: str | None
) -> str:
    """Return how a declared shape and dtype differ from the job's, as the end of a sentence, or ""."""  # noqa: E501
    wanted = "uint8" if isinstance(feature, ImageFeature) else feature.dtype
    declared = dtype or "uint8"
    if shape == feature.shape and declared == wanted:
        return ""
    return Text(
        "is declared as {declared} of {shape}, the job uses {wanted} of {size}",
        declared=declared,
        shape=list(shape or ()),
        wanted=wanted,
        size=list(feature.shape),
    )
