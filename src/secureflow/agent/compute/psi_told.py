"""In the worker: the keys that all have, as a receiver tells them to the others.

    count (8 bytes, big-endian) | count keys of 16 bytes, strictly ascending | zeros

The zeros make it as long as if the shortest of the lists were shared whole: so its length says
nothing of what matches. Whoever is told reads it as foreign: each key must be one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.agent.compute.psi_sums import ENGINE_KEY, TOLD_HEAD
from secureflow.engines.psi.normalise import KEY_BYTES
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_SORT: Final = f"S{ENGINE_KEY}"
"""NumPy compares these as bytes; zeros at an end count as none, which is alike for both sides."""
_ZEROS: Final = bytes(1 << 16)


def write_told(
    digests: Iterable[bytes], places: NDArray[np.int64], most: int, path: Path
) -> None:  # fmt: skip
    """Write the keys at these places of a list.

    Args:
        digests: the list in blocks, `KEY_BYTES` each.
        places: ascending.
        most: keys that can be shared at most: so long is the file.
        path: where.
    """
    with path.open("wb") as file:
        file.write(len(places).to_bytes(TOLD_HEAD, "big"))
        for start, block in _blocks(digests):
            low, high = np.searchsorted(places, [start, start + len(block)])
            file.write(np.ascontiguousarray(block[places[low:high] - start]).tobytes())
        _pad(file, ENGINE_KEY * (most - len(places)))


def read_told(path: Path, digests: Iterable[bytes], peer: str) -> NDArray[np.int64]:
    """Return the places of told keys in the own list.

    Args:
        path: the file, whose length the agent has bounded.
        digests: the own list in blocks.
        peer: who tells it.

    Raises:
        SecureFlowError: `peer_result_malformed` for keys out of order, and for one that is not in
            the list.
    """
    with path.open("rb") as file:
        count = int.from_bytes(file.read(TOLD_HEAD), "big")
        if count > path.stat().st_size // ENGINE_KEY:
            raise _malformed(peer)
        told: NDArray[Any] = np.fromfile(file, _SORT, count)
    if len(told) != count or not (told[1:] > told[:-1]).all():
        raise _malformed(peer)
    places = [np.empty(0, np.int64)]
    for start, block in _blocks(digests):
        own = np.frombuffer(np.ascontiguousarray(block).tobytes(), _SORT)
        low = np.searchsorted(told, own[0])
        here = told[low : np.searchsorted(told, own[-1], "right")]
        at = np.searchsorted(own, here)
        places.append((start + at[own[at] == here]).astype(np.int64))
    found = np.concatenate(places)
    if len(found) != count:
        raise _malformed(peer)
    return found


def _blocks(digests: Iterable[bytes]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield where a block begins in the list, and its keys as an engine takes them."""
    start = 0
    for block in digests:
        if block:
            whole = np.frombuffer(block, np.uint8).reshape(-1, KEY_BYTES)
            yield start, whole[:, :ENGINE_KEY]
            start += len(whole)


def _pad(file: BinaryIO, size: int) -> None:
    file.writelines(_ZEROS[: size - at] for at in range(0, size, len(_ZEROS)))


def _malformed(peer: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_result_malformed",
        Text("{peer} told keys that all have, and some are not in this party's list.", peer=peer),
        Text("The agent or engine of {peer} is faulty or altered: ask it.", peer=peer),
        {"party": peer},
    )
