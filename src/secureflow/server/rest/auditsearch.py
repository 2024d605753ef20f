"""Search of the ledger, and its export as JSON lines or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from secureflow.application.auditsearch import Criteria
from secureflow.kit.spreadsheets import plain_cell
from secureflow.server.rest.audit import Entry, Number
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import LIMIT, Limit, Reference
from secureflow.server.rest.streams import Counted

router = router_of("audit", OnceRoute, f"{PREFIX}/audit")

MOST: Final = 1_000_000
"""Entries in one export."""
COLUMNS: Final = ("index", "at", "kind", "author", "job", "hash", "document")
_TYPES: Final = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_LINES_AT_ONCE: Final = 200
Seconds = Annotated[int, Query(ge=0, lt=1 << 53, description="Unix seconds; 0: any")]


class EntryPage(BaseModel):
    """Entries, newest first; `next` is the next page's `before`, 0 at the end."""

    items: list[Entry]
    next: int


async def criteria_of(
    kind: Annotated[
        str, Query(max_length=64, pattern=r"^[a-z_.]*$", description="`job.` begins with it")
    ] = "",
    author: Reference = "",
    job: Reference = "",
    since: Seconds = 0,
    until: Seconds = 0,
) -> Criteria:
    """Return what a request searches for (a dependency)."""
    return Criteria(kind, author, job, since, until)


Searched = Annotated[Criteria, Depends(criteria_of)]


@router.get(
    "/search",
    summary="Search the log",
    response_model=EntryPage,
    response_model_exclude_none=True,
)
async def search_entries(
    use: Use, caller: Caller, searched: Searched, before: Number = 0, limit: Limit = LIMIT
) -> object:
    """Return the entries that match and that the caller may see, newest first.

    A page may be short, even empty, and have a `next`.
    """
    found, following = await use.audit_search.page(caller, searched, before=before, limit=limit)
    return {"items": found, "next": following}


@router.get(
    "/export",
    summary="Export the log",
    response_class=StreamingResponse,
    responses={200: {"content": {kind: {} for kind in _TYPES.values()}}},
)
async def export_entries(
    use: Use,
    caller: Counted,
    searched: Searched,
    form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
) -> StreamingResponse:
    """Return the entries that match as a file, newest first: JSON lines, or CSV.

    No cell of the CSV is a formula. An audit bundle proves; this is for reading.
    """
    await use.audit_search.check(caller, searched)
    entries = use.audit_search.every(caller, searched, MOST)
    lines = _csv(entries) if form == "csv" else _jsonl(entries)
    headers = {"Content-Disposition": f'attachment; filename="ledger.{form}"'}
    return StreamingResponse(_batched(lines), media_type=_TYPES[form], headers=headers)


async def _jsonl(entries: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    async for one in entries:
        yield json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n"


async def _csv(entries: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    yield _row(COLUMNS)
    async for one in entries:
        document = one.get("document")
        told = json.dumps(document, ensure_ascii=False) if document is not None else ""
        cells = [one["index"], one["at"], one["kind"], one["author"], one["job"], one["hash"]]
        yield _row([plain_cell(str(cell)) for cell in (*cells, told)])


def _row(cells: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


async def _batched(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    kept: list[str] = []
    async for line in lines:
        kept.append(line)
        if len(kept) == _LINES_AT_ONCE:
            yield "".join(kept).encode()
            kept = []
    yield "".join(kept).encode()
