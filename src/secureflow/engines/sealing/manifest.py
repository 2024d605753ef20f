"""Tensor manifests: names, dtypes and shapes of raw little-endian bytes, fixed by the job's spec.

A manifest precedes the bytes, so a receiver knows every size before it allocates anything.
An update of a training job is `parameters` f32[d] followed by `sums` f64[k]; `sums[0]` is the
weight (sample count), the rest are the metrics' numerators (docs/architecture.md, "Links").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import blake3
import numpy as np
from numpy.typing import NDArray

from secureflow.engines.sealing.wiretypes import CODES, WireType
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_TENSORS: Final = 256
MAX_BYTES: Final = 1 << 40

_DTYPES: Final = {
    "f32": "<f4", "f64": "<f8", "i64": "<i8", "u32": "<u4", "u64": "<u8",
    "f16": "<f2", "bf16": "<u2", "i8": "|i1", "u16": "<u2",
}  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}")
_MAX_RANK: Final = 8
_MAX_DIMENSION: Final = 1 << 40


@dataclass(frozen=True)
class Tensor:
    """One tensor's entry in a manifest.

    Args:
        name: unique within its manifest.
        dtype: `f32`, `f16`, `bf16`, `f64`, `i8`, `i64`, `u16`, `u32` or `u64`, little-endian.
        shape: dimensions; an empty shape is a scalar.

    Raises:
        SecureFlowError: `manifest_malformed`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise _malformed("a tensor's name")
        if not isinstance(self.dtype, str) or self.dtype not in _DTYPES:
            raise _malformed(Text("the dtype of {name}", name=self.name))
        sizes = all(type(size) is int and 0 <= size <= _MAX_DIMENSION for size in self.shape)
        if not sizes or len(self.shape) > _MAX_RANK or self.length > MAX_BYTES:
            raise _malformed(Text("the shape of {name}", name=self.name))

    @property
    def length(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * np.dtype(_DTYPES[self.dtype]).itemsize

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


Manifest = tuple[Tensor, ...]


def update_manifest(parameters: int, sums: int, wire: WireType = "float32") -> Manifest:
    """Return the manifest of a training update: parameters [d] in a dtype, and f64[k] sums."""
    return (Tensor("parameters", CODES[wire], (parameters,)), Tensor("sums", "f64", (sums,)))


def vector_manifest(slots: int, itemsize: int) -> Manifest:
    """Return the manifest of a masked vector: ring elements of 2, 4 or 8 bytes."""
    return (Tensor("vector", f"u{8 * itemsize}", (slots,)),)


def manifest_length(manifest: Sequence[Tensor]) -> int:
    """Return the total bytes of the tensors."""
    return sum(tensor.length for tensor in manifest)


def manifest_json(manifest: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Return the JSON form."""
    return [tensor.as_json() for tensor in manifest]


def manifest_digest(manifest: Sequence[Tensor]) -> str:
    """Return the hex SHA-256 over the JCS form."""
    return digest(manifest_json(manifest))


def parse_manifest(value: Any) -> Manifest:
    """Read the JSON form of a foreign manifest.

    Raises:
        SecureFlowError: `manifest_malformed`.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TENSORS:
        raise _malformed(
            Text("it is not a list of 1 to {max_tensors} tensors", max_tensors=MAX_TENSORS)
        )
    manifest = tuple(_tensor(entry) for entry in value)
    if len({tensor.name for tensor in manifest}) != len(manifest):
        raise _malformed("two tensors have one name")
    if manifest_length(manifest) > MAX_BYTES:
        raise _malformed(Text("more than {max_bytes} bytes", max_bytes=MAX_BYTES))
    return manifest


def tensor_views(manifest: Sequence[Tensor], buffer: memoryview) -> dict[str, NDArray[Any]]:
    """Return read-only arrays over the buffer, by name, without a copy.

    Args:
        manifest: the tensors, in order, without padding between them.
        buffer: exactly `manifest_length(manifest)` bytes.
    """
    views: dict[str, NDArray[Any]] = {}
    readonly, offset = buffer.toreadonly(), 0
    for tensor in manifest:
        part = readonly[offset : offset + tensor.length]
        views[tensor.name] = np.frombuffer(part, _DTYPES[tensor.dtype]).reshape(tensor.shape)
        offset += tensor.length
    return views


def tensor_digest(buffer: Any) -> str:
    """Return the hex BLAKE3 of a contiguous buffer's raw bytes: a model's digest."""
    view = memoryview(buffer)
    return blake3.blake3(view.cast("B") if view.nbytes else b"").hexdigest()


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, dict) or value.keys() != {"name", "dtype", "shape"}:
        raise _malformed("a tensor has other fields than name, dtype and shape")
    if not isinstance(value["shape"], list):
        raise _malformed("a shape must be a list")
    return Tensor(value["name"], value["dtype"], tuple(value["shape"]))


def _malformed(part: str) -> SecureFlowError:
    return SecureFlowError(
        "manifest_malformed", Text("The tensor manifest is malformed: {part}.", part=part)
    )
