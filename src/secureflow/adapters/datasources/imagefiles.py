"""PNG and JPEG images as arrays; the sizes in a header are checked before a pixel is decoded.

A few bytes can claim gigabytes of pixels. So the stored bytes are bounded by `SourceLimits`, only
two formats are tried, and an image of another size than the declared one is refused, or, where it
is to be resized, one of too many pixels; in any case one with a side of more than 65,535, since a
decoder keeps something for each line, and a JPEG of more than 100 scans, each of which is decoded.
A PNG with fewer lines than its header says is damaged; of a JPEG that ends properly nothing tells.
Metadata is not applied: neither EXIF orientation nor colour profiles. Of 16 bits a channel the
upper eight count.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from secureflow.adapters.datasources.imagestreams import has_more_scans, holds_all_lines
from secureflow.adapters.datasources.source import IMAGE_MAGIC, SourceLimits
from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.text import Text

_FORMATS: Final = ("PNG", "JPEG")
_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
_CHANNELS: Final = {
    **{"1": 1, "L": 1, "P": 3, "RGB": 3, "YCbCr": 3, "CMYK": 3},
    **{"LA": 4, "PA": 4, "RGBA": 4, "RGBX": 4},
}
"""The channels that an image of one of Pillow's modes has; others have more than 8 bits each."""
_SIDE: Final = 65_535
"""Pixels of the longest side: as many as a JPEG can have."""
_SCANS: Final = 100
"""Scans of a JPEG; programs write about ten."""
_DAMAGED: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What a decoder may raise for bytes that are no image: it promises nothing."""


class BrokenImageError(Exception):
    """Bytes are not an image as it was declared; `reason` says why, and quotes none of them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decoded(data: bytes, declared: ColumnConfig, limits: SourceLimits) -> NDArray[np.uint8]:
    """Return an image as uint8 of the declared shape.

    Raises:
        BrokenImageError: it is not one, is damaged, too large, or of another size.
    """
    if len(data) > limits.max_image_bytes:
        raise BrokenImageError(Text("it has more than {most} bytes", most=limits.max_image_bytes))
    if not data.startswith(IMAGE_MAGIC):
        raise BrokenImageError("it is neither a PNG nor a JPEG image")
    with warnings.catch_warnings():  # a decoder's warning may quote what it reads
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check(image, declared, limits)
                _check_stream(data)
                return _pixels(image, declared)
        except Image.DecompressionBombError:  # Pillow's own limit, far above ours
            raise _too_many(limits) from None
        except MemoryError:
            raise BrokenImageError("there is not enough memory to decode it") from None
        except _DAMAGED:
            raise BrokenImageError("it is damaged or cut short") from None


def header(data: bytes) -> tuple[int, int, int] | None:
    """Return (height, width, channels) as an image's header says, or None; for drafts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                channels = _channels(image)
                return (image.height, image.width, channels) if channels else None
        except (MemoryError, *_DAMAGED):
            return None


def _check(image: Image.Image, declared: ColumnConfig, limits: SourceLimits) -> None:
    height, width, channels = declared.shape or (0, 0, 0)
    found = _channels(image)
    if not found:
        raise BrokenImageError("it has more than 8 bits a channel")
    if declared.fit == "resize":
        if image.width * image.height > limits.max_pixels:
            raise _too_many(limits)
    elif (image.height, image.width, found) != (height, width, channels):
        raise BrokenImageError(
            Text(
                "its height, width and channels are {found}, declared are {declared}",
                found=f"[{image.height}, {image.width}, {found}]",
                declared=f"[{height}, {width}, {channels}]",
            )
        )
    if max(image.size) > _SIDE:
        raise BrokenImageError("it is wider or higher than 65,535 pixels")


def _check_stream(data: bytes) -> None:
    """Refuse what its header alone makes whole, and what takes long to decode."""
    if data.startswith(IMAGE_MAGIC[0]):
        if not holds_all_lines(data):
            raise BrokenImageError("it is damaged or cut short")
    elif has_more_scans(data, _SCANS):
        raise BrokenImageError("it has more than 100 scans")


def _too_many(limits: SourceLimits) -> BrokenImageError:
    return BrokenImageError(Text("it has more than {most} pixels", most=limits.max_pixels))


def _channels(image: Image.Image) -> int:
    if image.mode == "P" and "transparency" in image.info:
        return 4
    return _CHANNELS.get(image.mode, 0)


def _pixels(image: Image.Image, declared: ColumnConfig) -> NDArray[np.uint8]:
    height, width, channels = declared.shape or (0, 0, 0)
    mode = _MODES[channels]
    plain = image if image.mode == mode else image.convert(mode)
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain, dtype=np.uint8).reshape(height, width, channels)
