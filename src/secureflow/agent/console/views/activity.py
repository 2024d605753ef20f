"""Activity: the agent's own record in words, a page at a time, and the same page for programs."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response

from secureflow.agent.console.screens.actionwords import GROUPS
from secureflow.agent.console.screens.activity import Activity, activity, asked, exported
from secureflow.agent.console.visits import Page, Visit
from secureflow.kit.plain import escaped_json
from secureflow.texts import told

_DIGITS: Final = 15


async def show(visit: Visit) -> Response:
    """Show a page of the record."""
    page, _, before = await _page(visit)
    return visit.page("activity", view=page, before=before)


async def export(visit: Visit) -> Response:
    """Return the same page as JSON, to keep."""
    page, log, before = await _page(visit)
    rows = exported(page, log)
    for one in rows:
        one["told"] = told(one["told"], visit.language)
    text = escaped_json(json.dumps(rows, ensure_ascii=False, indent=2))
    name = f"activity-{page.group or 'all'}-{before or 'newest'}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), headers=headers, media_type="application/json")


async def _page(visit: Visit) -> tuple[Activity, Any, int]:
    query = visit.request.query_params
    group = query.get("group", "")
    group = group if group in GROUPS else ""
    number = query.get("before", "")
    before = (
        int(number) if number.isascii() and number.isdecimal() and len(number) <= _DIGITS else 0
    )
    log, people = await asyncio.gather(
        visit.ask("log", **asked(group, before)), visit.ask("people.list")
    )
    return activity(log, people, group, before), log, before


def _number(text: str) -> int:
    known = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) if known else 0


PAGES: Final = (Page("/activity", show, title="Activity"), Page("/activity.json", export))
