"""A log that somebody sets back: its database as it was at an earlier size."""

from __future__ import annotations

import sqlalchemy as sa

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log_store import place
from secureflow.adapters.database.tables import (
    LOG_CHECKPOINTS,
    LOG_COSIGNATURES,
    LOG_HEAD,
    LOG_LEAVES,
    LOG_NODES,
)


async def set_back(database: Database, size: int) -> None:
    """Make the log what it was at a size, as a restored backup does."""
    async with database.begin() as unit:
        now = (await unit.read(sa.select(LOG_HEAD.c.size))).scalar_one()
        beyond = {
            place(level, index)
            for level in range(now.bit_length())
            for index in range((now >> level) + 1)
            if (index + 1) << level > size
        }
        await unit.write(sa.delete(LOG_LEAVES).where(LOG_LEAVES.c.number >= size))
        await unit.write(sa.delete(LOG_NODES).where(LOG_NODES.c.place.in_(beyond)))
        await unit.write(sa.delete(LOG_CHECKPOINTS).where(LOG_CHECKPOINTS.c.size > size))
        await unit.write(sa.delete(LOG_COSIGNATURES).where(LOG_COSIGNATURES.c.size > size))
        await unit.write(sa.update(LOG_HEAD).values(size=size, hold=None))
        await unit.commit()
