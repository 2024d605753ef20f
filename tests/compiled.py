"""A process of tests compiles a statement once for each kind of database, not once for each engine.

SQLAlchemy keeps compiled statements with the engine that first ran them. A server has one engine
for its whole life; tests open thousands, and compiled the same few hundred statements for each.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.util import LRUCache

MOST: Final = 5000
_ALL: LRUCache[Any, Any] = LRUCache(MOST)


class Compiled:
    """What an engine takes for its own cache: the same one for all whose SQL is the same.

    Args:
        dialect: the engine's; its keys begin with it.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def get(self, key: tuple[Any, ...]) -> Any:
        """Return a compiled statement, or None."""
        return _ALL.get(self._shared(key))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        _ALL[self._shared(key)] = compiled

    def _shared(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        # What a dialect spells depends on its driver and on what the server told of itself.
        one: Any = self._dialect
        told = one.server_version_info, one.default_schema_name
        return (type(one), one.paramstyle, told, *key[1:])


def share_compiled() -> None:
    """Have every engine of this process share what it compiles."""

    def shared(engine: Engine) -> Compiled:
        found: Compiled | None = vars(engine).get("shared_compiled")
        if found is None:
            found = vars(engine)["shared_compiled"] = Compiled(engine.dialect)
        return found

    Engine._compiled_cache = property(shared, lambda *_: None)  # type: ignore[assignment]
