"""A file from one agent to another, over the channel of an attempt: a header, then pieces.

Both directions go at once. What arrives is foreign: its size is bounded before anything is written,
and nobody but a worker reads it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from secureflow.adapters.mpcengines.together import together
from secureflow.application.ports.peers import PeerChannel
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_PIECE: Final = 4 << 20
_HEADER: Final = 256


async def pass_files(
    channel: PeerChannel,
    own: Path | None,
    theirs: Path | None,
    place: Place,
    *,
    most: int,
    least: int = 1,
) -> None:
    """Send a file to a peer, and take one from it.

    Args:
        channel: to the peer.
        own: the file to send; None for none.
        theirs: where the peer's is written; None if none comes.
        place: of that file, for faults of its disk.
        most: bytes of it.
        least: bytes of it.

    Raises:
        SecureFlowError: `peer_result_malformed`; those of the channel.
        InfrastructureError: there is no room.
    """
    passing = []
    if own is not None:
        passing.append(_send(channel, own))
    if theirs is not None:
        passing.append(_take(channel, theirs, place, (least, most)))
    await together(passing)


async def _send(channel: PeerChannel, path: Path) -> None:
    size = await asyncio.to_thread(lambda: path.stat().st_size)
    await channel.send(canonical_bytes({"say": "file", "bytes": size}))
    with path.open("rb") as file:  # in a thread, a cancellation would leave it open
        while piece := await asyncio.to_thread(file.read, _PIECE):
            await channel.send(piece)


async def _take(channel: PeerChannel, path: Path, place: Place, sizes: tuple[int, int]) -> None:
    size = _announced(channel.peer, await channel.receive(), sizes)
    place.demand(size)
    with writing(place, size), path.open("wb") as file:
        left = size
        while left:
            piece = await channel.receive()
            if not piece or len(piece) > left:
                raise _malformed(channel.peer)
            await asyncio.to_thread(file.write, piece)
            left -= len(piece)


def _announced(peer: str, header: bytes | None, sizes: tuple[int, int]) -> int:
    """Return how many bytes a peer says that it sends."""
    if header is None or len(header) > _HEADER:
        raise _malformed(peer)
    try:
        told = parse_json(header, _HEADER)
    except SecureFlowError:
        raise _malformed(peer) from None
    size = told.get("bytes") if isinstance(told, dict) else None
    if type(size) is not int or not sizes[0] <= size <= sizes[1]:
        raise _malformed(peer)
    return size


def _malformed(peer: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_result_malformed",
        Text("What {peer} handed over is no file of the agreed size.", peer=peer),
        Text("The agent of {peer} is faulty or of another version: ask it.", peer=peer),
        {"party": peer},
    )
