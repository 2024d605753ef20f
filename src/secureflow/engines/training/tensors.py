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
from collections.abc import Mapping, Sequence
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
    ordered = by_name(tensors)
    unknown = sorted(set(arrays) - {one.name for one in ordered})
    if unknown:
        raise _wrong(Text("{name!r} is not one of the model's", name=unknown[0][:80]))
    vector, at = np.empty(total(ordered), np.float32), 0
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
        if (
            one.whole
            and array.size
            and float(np.abs(array.astype(np.float64)).max()) > (LARGEST_WHOLE)
        ):
            raise _wrong(Text("{name!r} holds a whole number above 2^24", name=one.name))
        with np.errstate(over="ignore"):  # refused by name below
            vector[at : at + one.size] = array.reshape(-1)
        if not np.isfinite(vector[at : at + one.size]).all():
            raise _wrong(Text("{name!r} holds a number that is not finite", name=one.name))
        at += one.size
    return vector


def named(
    tensors: Sequence[TensorSpec], vector: NDArray[np.float32]
) -> dict[str, NDArray[np.generic]]:
    """Return a model's tensors by name, each in its dtype; copies.

    Args:
        tensors: the spec's, in any order.
        vector: float32 (d,), as long as they are together.
    """
    found: dict[str, NDArray[np.generic]] = {}
    at = 0
    for one in by_name(tensors):
        found[one.name] = _taken(one, vector[at : at + one.size]).reshape(one.shape)
        at += one.size
    return found


def safetensors_parts(data: bytes) -> tuple[tuple[TensorSpec, ...], dict[str, NDArray[Any]]]:
    """Parse a foreign safetensors file; return its tensors, in the order of names, and arrays.

    Raises:
        SecureFlowError: `tensors_wrong`: wrong lengths, a dtype that models do not have, names or
            offsets that no file has.
    """
    length = int.from_bytes(data[:8], "little")
    if not 8 <= len(data) <= FILE_LIMIT or length > min(HEADER_LIMIT, len(data) - 8):
        raise _wrong("the file's header is longer than the file or the limit")
    try:
        header = parse_json(data[8 : 8 + length], HEADER_LIMIT)
    except SecureFlowError:
        raise _wrong("the file's header is not JSON") from None
    if not isinstance(header, dict):
        raise _wrong("the file's header is not a JSON object")
    entries = {name: one for name, one in header.items() if name != "__metadata__"}
    if not 1 <= len(entries) <= MAX_TENSORS:
        raise _wrong(Text("the file must hold 1 to {most} tensors", most=MAX_TENSORS))
    specs, arrays, covered = [], {}, []
    for name, entry in entries.items():
        spec, array, span = _entry(name, entry, data[8 + length :])
        specs.append(spec)
        arrays[name] = array
        covered.append(span)
    ends = [0, *(end for _, end in sorted(covered))]
    if [start for start, _ in sorted(covered)] != ends[:-1] or ends[-1] != len(data) - 8 - length:
        raise _wrong("the file's tensors overlap or leave gaps")
    return by_name(specs), arrays


def _entry(name: str, entry: Any, data: bytes) -> tuple[TensorSpec, NDArray[Any], tuple[int, int]]:
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
    size = spec.size * np.dtype(code).itemsize
    offsets = entry["data_offsets"]
    # As text, because in Python true equals 1 and 4.0 equals 4.
    start = offsets[0] if isinstance(offsets, list) and offsets else None
    if type(start) is not int or json.dumps(offsets) != f"[{start}, {start + size}]":
        raise _wrong("a tensor's offsets are not those of its shape")
    if not 0 <= start <= len(data) - size:
        raise _wrong("a tensor lies outside of the file")
    raw = np.frombuffer(data, code, spec.size, start)
    array = widened("bfloat16", raw) if dtype == "bfloat16" else raw
    return spec, array.reshape(spec.shape), (start, start + size)


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
