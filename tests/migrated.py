"""A SQLite database of this version's schema: migrated once, and copied for whoever needs one.

Migrating takes most of what an empty database costs a test.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
import threading
from pathlib import Path

from secureflow.adapters.database.engine import Database


def migrated(path: Path) -> str:
    """Put an empty database there; return its URL."""
    path.write_bytes(_image())
    return f"sqlite:///{path}"


def migrate(url: str) -> None:
    """Bring a database to this version's schema, on a loop of its own."""

    async def start() -> None:
        database = Database(url)
        await database.start()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(start()))
    thread.start()
    thread.join()


@functools.cache
def _image() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "test.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()
