"""Between the flat vector that rounds carry and a framework's named tensors.

`TrainingSpec.tensors` fixes names, shapes and dtypes; `flat` and `named` convert, in the order of
names, row-major. The vector is float32, whatever a framework's dtype:

- float16 and bfloat16 widen exactly; they are rounded to their dtype when they are taken out.
  (NumPy has no bfloat16: `named` returns float32 numbers that bfloat16 can hold.)
- *Whole numbers* (counters of a batch norm) are averaged like everything else and rounded, half to
  even, when they are taken out: parties that took the same number of steps keep their counter, and
  otherwise it is the mean. float32 holds them exactly up to 2^24; a larger one is refused.

`safetensors_parts` reads a foreign file: sizes are checked before anything is allocated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.tensors import (
    MAX_TENSORS,
    DType,
    TensorSpec,
    by_name,
    total,
)
from secureflow.engines.sealing.wiretypes import rounded_to, widened
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LARGEST_WHOLE: Final = 1 << 24
"""Whole numbers up to this are exact in float32."""
HEADER_LIMIT: Final = 8 << 20
FILE_LIMIT: Final = 4 << 30

_FOREIGN: Final[dict[str, tuple[DType, str]]] = {
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
    "I64": ("int64", "<i8"),
    "I32": ("int32", "<i4"),
    "U8": ("uint8", "<u1"),
    "BOOL": ("bool", "<u1"),
}
"""Dtypes of a safetensors file: ours, and how their bytes are read."""


def flat(tensors: Sequence[TensorSpec], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Return the vector of a model's tensors.

    Args:
        tensors: the spec's, in any order.
        arrays: exactly these, by name; any real dtype.

    Raises:
        SecureFlowError: `tensors_wrong` naming what is missing, too much, of another shape, not
            finite, or a whole number that float32 cannot hold.
    """
    vector, at = np.empty(total(tensors), np.float32), 0
    for block in flat_blocks(tensors, arrays, max(len(vector), 1)):
        vector[at : at + len(block)] = block
        at += len(block)
    return vector


def flat_blocks(
    tensors: Sequence[TensorSpec], arrays: Mapping[str, NDArray[Any]], size: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the vector of a model's tensors, so many values at a time; see `flat`.

    Raises:
        SecureFlowError: as `flat`.
    """
    ordered = by_name(tensors)
    unknown = sorted(set(arrays) - {one.name for one in ordered})
    if unknown:
        raise _wrong(Text("{name!r} is not one of the model's", name=unknown[0][:80]))
    block, filled = np.empty(size, np.float32), 0
    for one in ordered:
        if one.name not in arrays:
            raise _wrong(Text("{name!r} is missing", name=one.name))
        array = np.asarray(arrays[one.name])
        if array.shape != one.shape:
            raise _wrong(
                Text(
                    "{name!r} has the shape {found}, not {shape}",
                    name=one.name,
                    found=list(array.shape),
                    shape=list(one.shape),
                )
            )
        values, at = array.reshape(-1), 0
        while at < one.size:
            part = values[at : at + size - filled]
            block[filled : filled + len(part)] = check_values(one, part)
            at, filled = at + len(part), filled + len(part)
            if filled == size:
                yield block
                block, filled = np.empty(size, np.float32), 0
    if filled:
        yield block[:filled]


def check_values(spec: TensorSpec, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values of a tensor as float32.

    Raises:
        SecureFlowError: `tensors_wrong` for one that float32 cannot hold.
    """
    if spec.whole and values.size and (np.abs(values.astype(np.float64)).max() > LARGEST_WHOLE):
        raise _wrong(Text("{name!r} holds a whole number above 2^24", name=spec.name))
    with np.errstate(over="ignore"):  # refused by name below
        found: NDArray[np.float32] = values.astype(np.float32)
    if not np.isfinite(found).all():
        raise _wrong(Text("{name!r} holds a number that is not finite", name=spec.name))
    return found


def named(
    tensors: Sequence[TensorSpec], vector: NDArray[np.float32]
) -> dict[str, NDArray[np.generic]]:
    """Return a model's tensors by name, each in its dtype; copies.

    Args:
        tensors: the spec's, in any order.
        vector: float32 (d,), as long as they are together.
    """
    return dict(NamedTensors(tensors, vector))


class NamedTensors(Mapping[str, NDArray[np.generic]]):
    """What `named` returns, each made when it is asked for.

    Args:
        tensors: the spec's, in any order.
        vector: float32 (d,), as long as they are together.
    """

    def __init__(self, tensors: Sequence[TensorSpec], vector: NDArray[np.float32]) -> None:
        self._parts: dict[str, tuple[TensorSpec, int]] = {}
        self._vector, at = vector, 0
        for one in by_name(tensors):
            self._parts[one.name] = one, at
            at += one.size

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        """Return a tensor in its dtype, a copy."""
        one, at = self._parts[name]
        return _taken(one, self._vector[at : at + one.size]).reshape(one.shape)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._parts)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file: NumPy's code of its bytes, and where they start."""

    spec: TensorSpec
    code: str
    start: int


def safetensors_parts(data: bytes) -> tuple[tuple[TensorSpec, ...], dict[str, NDArray[Any]]]:
    """Parse a foreign safetensors file; return its tensors, in the order of names, and arrays.

    Raises:
        SecureFlowError: `tensors_wrong`: wrong lengths, a dtype that models do not have, names or
            offsets that no file has.
    """
    length = header_length(data[:8], len(data))
    stored, _ = stored_tensors(data[8 : 8 + length], len(data) - 8 - length, 8 + length)
    arrays = {}
    for one in stored:
        raw = np.frombuffer(data, one.code, one.spec.size, one.start)
        array = widened("bfloat16", raw) if one.spec.dtype == "bfloat16" else raw
        arrays[one.spec.name] = array.reshape(one.spec.shape)
    return tuple(one.spec for one in stored), arrays


def header_length(first: bytes, size: int) -> int:
    """Return the length of the header of a safetensors file.

    Args:
        first: the file's first 8 bytes.
        size: of the whole file.

    Raises:
        SecureFlowError: `tensors_wrong`.
    """
    length = int.from_bytes(first, "little")
    if not 8 <= size <= FILE_LIMIT or length > min(HEADER_LIMIT, size - 8):
        raise SecureFlowError(
            "tensors_wrong",
            "The file is no safetensors file, or it was cut off: its header would not fit in it.",
            "Give the tensors as a safetensors file.",
        )
    return length


def stored_tensors(
    header: bytes, size: int, first: int
) -> tuple[tuple[StoredTensor, ...], dict[str, Any]]:
    """Parse the header of a foreign safetensors file.

    Args:
        header: its bytes.
        size: the number of bytes behind it.
        first: where they begin in the file.

    Returns:
        The tensors, in the order of names, which fill the file without a gap; the metadata.

    Raises:
        SecureFlowError: `tensors_wrong`.
    """
    try:
        known = parse_json(header, HEADER_LIMIT)
    except SecureFlowError:
        raise _wrong("the file's header is not JSON") from None
    if not isinstance(known, dict):
        raise _wrong("the file's header is not a JSON object")
    metadata = known.pop("__metadata__", {})
    if not 1 <= len(known) <= MAX_TENSORS:
        raise _wrong(Text("the file must hold 1 to {most} tensors", most=MAX_TENSORS))
    stored = [_entry(name, entry, size) for name, entry in known.items()]
    spans = sorted((one.start, one.start + _bytes(one)) for one in stored)
    ends = [0, *(end for _, end in spans)]
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != size:
        raise _wrong("the file's tensors overlap or leave gaps")
    moved = {one.spec.name: replace(one, start=first + one.start) for one in stored}
    ordered = tuple(moved[spec.name] for spec in by_name([one.spec for one in stored]))
    return ordered, metadata if isinstance(metadata, dict) else {}


def _bytes(one: StoredTensor) -> int:
    return one.spec.size * np.dtype(one.code).itemsize


def _entry(name: str, entry: Any, size: int) -> StoredTensor:
    """Return a tensor, its start relative to the end of the header."""
    from secureflow.domain.specs.base import parse

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _wrong("a tensor has other parts than dtype, shape, data_offsets")
    if entry["dtype"] not in _FOREIGN if isinstance(entry["dtype"], str) else True:
        raise _wrong(Text("models hold no {dtype}", dtype=str(entry["dtype"])[:20]))
    dtype, code = _FOREIGN[entry["dtype"]]
    if not isinstance(entry["shape"], list) or not all(type(one) is int for one in entry["shape"]):
        raise _wrong("a tensor's shape is not a list of whole numbers")
    try:
        spec = parse(TensorSpec, {"name": name, "shape": entry["shape"], "dtype": dtype})
    except SecureFlowError as error:
        raise _wrong(Text("a tensor cannot be used: {reason}", reason=error.message)) from None
    offsets = entry["data_offsets"]
    # As text, because in Python true equals 1 and 4.0 equals 4.
    start = offsets[0] if isinstance(offsets, list) and offsets else None
    if type(start) is not int:
        raise _wrong("a tensor's offsets are not those of its shape")
    one = StoredTensor(spec, code, start)
    if json.dumps(offsets) != f"[{start}, {start + _bytes(one)}]":
        raise _wrong("a tensor's offsets are not those of its shape")
    if not 0 <= start <= size - _bytes(one):
        raise _wrong("a tensor lies outside of the file")
    return one


def _taken(spec: TensorSpec, values: NDArray[np.float32]) -> NDArray[np.generic]:
    if spec.dtype == "bfloat16":
        return np.asarray(widened("bfloat16", rounded_to("bfloat16", values)), np.float32)
    if spec.dtype == "float16":
        return rounded_to("float16", values)
    if not spec.whole:
        return values.copy()
    whole: NDArray[np.float64] = np.rint(values.astype(np.float64))
    if spec.dtype == "bool":
        return np.asarray(whole >= 1)
    limits = np.iinfo(spec.dtype)
    return np.asarray(np.clip(whole, float(limits.min), float(limits.max)), spec.dtype)


def _wrong(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "tensors_wrong",
        Text("The tensors do not fit the model: {reason}.", reason=reason),
        "Use exactly the tensors that the job's model has, with their shapes.",
    )
