"""Complete lists: pages are bounded, but some rules need every entity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from secureflow.application.ports.storage import Filter, Page, Store
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("id", "name", "display"),
    "datasets": ("id", "name", "title", "organisation"),
    "jobs": ("id", "name", "submitter"),
    "models": ("id", "name", "family"),
}
"""What a search of a list looks at."""
T = TypeVar("T")
EMPTY = Page([])


def words_of(noun: str, entity: object) -> str:
    """Return what a search looks at, without case."""
    return "\n".join(str(getattr(entity, name)) for name in WORDS[noun]).casefold()


async def list_readable(store: Store[T], **equals: Filter) -> list[T]:
    """Return all readable entities that match."""
    return (await list_with_damaged(store, **equals))[0]


async def list_complete(store: Store[T], **equals: Filter) -> list[T]:
    """Return all entities that match, for a rule that permits what it finds no entity against.

    Raises:
        SecureFlowError: `record_damaged` if one of them cannot be read.
    """
    items, damaged = await list_with_damaged(store, **equals)
    if damaged:
        raise _damaged(damaged[0])
    return items


async def list_with_damaged(store: Store[T], **equals: Filter) -> tuple[list[T], list[str]]:
    """Return all readable entities that match, and the ids of the unreadable ones."""
    items: list[T] = []
    damaged: list[str] = []
    cursor = ""
    while True:
        page = await store.list(cursor=cursor, limit=500, **equals)
        items += page.items
        damaged += page.damaged
        cursor = page.next
        if not cursor:
            return items, damaged


async def list_first(store: Store[T], **equals: Filter) -> T | None:
    """Return the first entity that matches, if any.

    Raises:
        SecureFlowError: `record_damaged` if that one exists but cannot be read.
    """
    page = await store.list(cursor="", limit=1, **equals)
    if page.damaged:
        raise _damaged(page.damaged[0])
    return page.items[0] if page.items else None


def _damaged(key: str) -> SecureFlowError:
    return SecureFlowError(
        "record_damaged",
        Text("{key} is damaged in the server's record.", key=key),
        "The operator finds what is damaged with: secureflow server check.",
        {"id": key},
    )
