"""Complete lists: pages are bounded, but some rules need every entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from secureflow.application.ports.storage import Filter, Page, Store
from secureflow.domain.references import references_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("id", "name", "display"),
    "datasets": ("id", "name", "title", "organisation"),
    "jobs": ("id", "name", "submitter"),
    "models": ("id", "name", "family"),
}
"""What a search of a list looks at."""


@dataclass(frozen=True)
class Narrowing:
    """How a list is narrowed and sorted.

    Args:
        text: words that all must occur (`WORDS`), without case.
        since, until: unix seconds of creation, the latter exclusive; 0 for any.
        newest: the newest first, else the oldest.
    """

    text: str = ""
    since: int = 0
    until: int = 0
    newest: bool = False

    @property
    def filters(self) -> dict[str, str | int]:
        """The filters of a store's list that it asks for."""
        given: dict[str, str | int] = {
            "text": self.text.strip(),
            "since": self.since,
            "until": self.until,
        }
        return {name: value for name, value in given.items() if value}


EVERYTHING: Final = Narrowing()
T = TypeVar("T")
EMPTY = Page([])


def words_of(noun: str, entity: object) -> str:
    """Return what a search looks at, without case; of a job also what its spec refers to."""
    words = [str(getattr(entity, name)) for name in WORDS[noun]]
    spec = getattr(entity, "spec", None) if noun == "jobs" else None
    return "\n".join([*words, *(references_of(spec) if spec else ())]).casefold()


async def narrowed(
    store: Store[T], narrowing: Narrowing, cursor: str, limit: int, **equals: Filter
) -> Page:
    """Return a page of a list as somebody narrowed and sorted it."""
    pages = store.latest if narrowing.newest else store.list
    return await pages(cursor=cursor, limit=limit, **narrowing.filters, **equals)


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
