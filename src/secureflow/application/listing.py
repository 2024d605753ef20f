"""Walking through lists: pages have bounds, rules sometimes need every entity."""

from __future__ import annotations

from typing import TypeVar

from secureflow.application.ports import Filter, Page, Store

T = TypeVar("T")
EMPTY = Page([])


async def every(store: Store[T], **equals: Filter) -> list[T]:
    """Return all entities that match, page by page."""
    items: list[T] = []
    cursor = ""
    while True:
        page = await store.list(cursor=cursor, limit=500, **equals)
        items += page.items
        cursor = page.next
        if not cursor:
            return items


async def first(store: Store[T], **equals: Filter) -> T | None:
    """Return the first entity that matches, if any."""
    page = await store.list(cursor="", limit=1, **equals)
    return page.items[0] if page.items else None
