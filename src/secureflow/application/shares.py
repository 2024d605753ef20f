"""Rows that strangers make: a share for each network, and room for somebody else always.

Who begins a login has proven nothing, so whatever waits for its end can be filled by anybody, from
as many addresses as they have. Nobody is refused for that: over the share of its own network the
oldest row of that network goes; over the limit in all, the oldest of the network that has most. A
stranger with many addresses in few networks so pushes out their own logins only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import Store


@dataclass(frozen=True)
class Share:
    """How many rows there may be: of one network (`kit.addresses.block_of`), and in all."""

    block: int
    total: int


async def make_room(store: Store[Any], block: str, now: int, share: Share) -> None:
    """Remove a row, if there is no room for another of this network; the caller holds a lock.

    Args:
        store: of entities with `block`, `created` and `expires`.
        block: the network of the next row.
        now: unix seconds.
        share: the limits.
    """
    if await store.count(block=block, unexpired=now) >= share.block:
        await _remove_oldest(store, block, now)
    elif await store.count(unexpired=now) >= share.total:
        await _remove_oldest(store, await store.crowded("block", unexpired=now), now)


async def _remove_oldest(store: Store[Any], block: str, now: int) -> None:
    there = await list_readable(store, block=block, unexpired=now)
    if there:
        await store.remove(min(there, key=lambda one: (one.created, one.id)).id)
