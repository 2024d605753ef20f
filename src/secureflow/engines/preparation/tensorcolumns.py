"""Images, arrays and texts as model inputs: kept as small as they came, made float32 on request.

| column | a row's inputs                                                             |
|--------|----------------------------------------------------------------------------|
| image  | values / 255, then (· − mean) / std of the channel if the spec has them    |
| array  | clamped to the bounds, which become −1 … 1; what is no number becomes 0    |
| text   | how often each token but padding occurs, or its tokens' numbers in order   |

The tokens of `words` are runs of letters and digits, case-folded, and single Chinese, Japanese or
Korean characters; the number of one is 1 + BLAKE2b(word) mod (vocabulary − 1), so nobody needs a
list of words. A missing text has no token. No element and no text causes an error; a column of
another shape does, which depends on the declaration and not on a row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.inputs import ArrayFeature, ImageFeature, TensorFeature, TextFeature
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.preparation.columns import Columns, column
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Index = NDArray[np.int64]

_SINGLE: Final = "぀-ヿ㐀-䶿一-鿿豈-﫿가-힯"
_WORDS: Final = re.compile(f"[{_SINGLE}]|[^\\W{_SINGLE}]+")


@dataclass(frozen=True)
class Elements:
    """The elements of images or arrays.

    Args:
        values: (rows, elements), in the dtype in which they came.
        centre: subtracted from each; float64 of a shape that broadcasts to a row.
        unit: by which the result is divided.
        bounds: to which values are clamped before that.
    """

    values: NDArray[Any]
    centre: NDArray[np.float64]
    unit: NDArray[np.float64]
    bounds: tuple[float, float]

    @property
    def width(self) -> int:
        """The number of inputs."""
        return int(self.values.shape[1])

    def inputs(self, rows: Index) -> NDArray[np.float32]:
        """Return the inputs of some rows, float32 (len(rows), width)."""
        found = self.values[rows].astype(np.float64)
        with np.errstate(invalid="ignore"):
            scaled = (np.clip(found, *self.bounds) - self.centre) / self.unit
        if self.values.dtype.kind == "f":
            scaled = np.where(np.isnan(scaled), 0.0, scaled)
        return scaled.astype(np.float32)

    def only(self, rows: Index) -> Elements:
        """Return some rows."""
        return Elements(self.values[rows], self.centre, self.unit, self.bounds)


@dataclass(frozen=True)
class Tokens:
    """The tokens of texts.

    Args:
        numbers: (rows, length), padded with 0.
        vocabulary: numbers are below it.
        counts: whether a model sees how often each occurs, or the numbers themselves.
    """

    numbers: NDArray[np.int32]
    vocabulary: int
    counts: bool

    @property
    def width(self) -> int:
        """The number of inputs."""
        return self.vocabulary - 1 if self.counts else int(self.numbers.shape[1])

    def inputs(self, rows: Index) -> NDArray[np.float32]:
        """Return the inputs of some rows, float32 (len(rows), width)."""
        chosen = self.numbers[rows]
        if not self.counts:
            return chosen.astype(np.float32)
        found = np.zeros((len(rows), self.width), np.float32)
        at, place = np.nonzero(chosen)
        np.add.at(found, (at, chosen[at, place] - 1), np.float32(1))
        return found

    def only(self, rows: Index) -> Tokens:
        """Return some rows."""
        return Tokens(self.numbers[rows], self.vocabulary, self.counts)


TensorColumn = Elements | Tokens


@dataclass(frozen=True)
class Place:
    """Where the inputs of a column are in a row of model inputs.

    Args:
        start: the first.
        shape: theirs; of a text that a model sees as numbers its length.
    """

    start: int
    shape: tuple[int, ...]


def places(features: FeatureSpec, *, numbers: bool = False) -> dict[str, Place]:
    """Return where images, arrays and texts are in a row of inputs, by column.

    Args:
        features: the job's.
        numbers: whether texts are their tokens' numbers, not counts.
    """
    found, start = {}, features.table_width
    for one in features.beside:
        if not isinstance(one, TextFeature):
            shape = one.shape
        else:
            shape = (one.length,) if numbers else (one.width,)
        found[one.column] = Place(start, shape)
        start += int(np.prod(shape))
    return found


def tensor_columns(
    features: FeatureSpec, columns: Columns, *, numbers: bool = False
) -> tuple[TensorColumn, ...]:
    """Return the images, arrays and texts of rows, in the order of the model's inputs.

    Raises:
        SecureFlowError: `missing_column`; `shape_mismatch` for a column of another shape.
    """
    return tuple(_made(one, columns, numbers) for one in features.beside)


def _made(feature: TensorFeature, columns: Columns, numbers: bool) -> TensorColumn:
    values = column(columns, feature.column)
    if isinstance(feature, TextFeature):
        made = _tokens(feature, values.tolist())
        return Tokens(made, feature.vocabulary, not numbers)
    if values.shape[1:] != feature.shape or values.dtype.kind not in "fiu":
        found = list(values.shape[1:]) if values.dtype.kind in "fiu" else []
        raise shape_mismatch(feature.column, found, feature.shape)
    flat = values.reshape(len(values), feature.width)
    if isinstance(feature, ArrayFeature):
        low, high = feature.bounds
        middle, half = np.float64((low + high) / 2), np.float64((high - low) / 2)
        return Elements(flat, np.asarray(middle), np.asarray(half), feature.bounds)
    return _pixels(feature, flat)


def _pixels(feature: ImageFeature, flat: NDArray[Any]) -> Elements:
    channels = feature.shape[2]
    each = feature.width // channels
    mean = np.tile(np.asarray(feature.mean or (0.0,) * channels, np.float64), each)
    std = np.tile(np.asarray(feature.std or (1.0,) * channels, np.float64), each)
    # (v / 255 − mean) / std, in one step.
    return Elements(flat, mean * 255.0, std * 255.0, (0.0, 255.0))


def _tokens(feature: TextFeature, cells: list[Any]) -> NDArray[np.int32]:
    found = np.zeros((len(cells), feature.length), np.int32)
    read = _bytes if feature.tokens == "bytes" else _hashes(feature.vocabulary)
    for at, cell in enumerate(cells):
        if isinstance(cell, str):
            numbers = read(cell, feature.length)
            found[at, : len(numbers)] = numbers
    return found


def _bytes(text: str, length: int) -> list[int]:
    return [1 + one for one in text[:length].encode("utf-8", "replace")[:length]]


def _hashes(vocabulary: int) -> Callable[[str, int], list[int]]:
    known: dict[str, int] = {}

    def number(word: str) -> int:
        if word not in known:
            if len(known) > vocabulary:
                known.clear()  # texts choose the words, not we
            hashed = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            known[word] = 1 + int.from_bytes(hashed) % (vocabulary - 1)
        return known[word]

    return lambda text, length: [number(word) for word in _first(_words(text), length)]


def _words(text: str) -> Iterator[str]:
    return (found[0] for found in _WORDS.finditer(text.casefold()))


def _first(words: Iterator[str], length: int) -> list[str]:
    return [word for word, _ in zip(words, range(length), strict=False)]


def shape_mismatch(name: str, found: list[int], wanted: tuple[int, ...]) -> SecureFlowError:
    """Return the error for images or arrays of another shape than the job's."""
    return SecureFlowError(
        "shape_mismatch",
        Text(
            "Column {name!r} holds {found} in each row, the job uses {wanted}.",
            name=name,
            found=str(found),
            wanted=str(list(wanted)),
        ),
        "Use the shape that its owner declares; an owner of images can declare `fit: resize`.",
        {"column": name},
    )
