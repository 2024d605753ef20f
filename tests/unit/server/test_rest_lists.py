"""Lists over REST: filters, search and export of the ledger, a job's events."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from secureflow.application import auditsearch
from secureflow.domain.jobs import JobState
from secureflow.kit.spreadsheets import plain_cell
from secureflow.server.rest import auditsearch as rest_auditsearch
from tests.unit.application.test_live import move
from tests.unit.server.conftest import Api


async def test_jobs_are_filtered_and_sorted(api: Api) -> None:
    stage, who = api.stage, api.stage.scientist("bank-a")
    second = await stage.services.jobs.submit(who, stage.wanted(name="Churn model"))
    first = stage.ids["job"]
    await move(stage, second.id, JobState.FAILED)

    async def found(query: str) -> list[str]:
        answer = await api.call("GET", f"/jobs?{query}", who)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    assert await found("") == [first, second.id]
    assert await found("newest=true") == [second.id, first]
    assert await found("text=churn") == [second.id]
    assert await found("state=failed&state=cancelled") == [second.id]
    assert await found("state=") == [first, second.id]
    assert await found(f"submitter={who.name}&kind=training") == [first, second.id]
    assert await found("submitter=nobody") == []
    assert await found(f"since={stage.now[0] + 1}") == []
    page = (await api.call("GET", "/jobs?newest=true&limit=1", who)).json()
    assert await found(f"newest=true&limit=1&cursor={page['next']}") == [first]
    assert (await api.call("GET", f"/jobs?text={'x' * 101}", who)).status_code == 422


@pytest.mark.parametrize("path", ["models", "datasets", "users"])
async def test_other_lists_are_searched_too(api: Api, path: str) -> None:
    who = api.stage.admin("bank-a")
    words = {"models": "income", "datasets": "CUSTOMERS", "users": "bank-a.auditor"}[path]
    everything = (await api.call("GET", f"/{path}?newest=true", who)).json()["items"]
    found = (await api.call("GET", f"/{path}?text={words}", who)).json()["items"]
    assert 0 < len(found) <= len(everything)
    ids = [one["id"] for one in everything]
    assert ids == sorted(ids, reverse=True)
    assert (await api.call("GET", f"/{path}?text=nothing-like-it", who)).json()["items"] == []


async def test_the_log_is_searched_by_those_who_may_see(api: Api) -> None:
    stage = api.stage
    found = (await api.call("GET", "/audit/search?kind=job.", stage.operator)).json()
    assert {one["kind"] for one in found["items"]} == {"job.proposed"}
    numbers = [
        one["index"]
        for one in (await api.call("GET", "/audit/search", stage.operator)).json()["items"]
    ]
    assert numbers == sorted(numbers, reverse=True)
    job = f"/audit/search?job={stage.ids['job']}"
    assert len((await api.call("GET", job, stage.scientist("bank-b"))).json()["items"]) == 1
    assert (await api.call("GET", job, stage.scientist("outsider"))).status_code == 404
    hidden = await api.call("GET", "/audit/search?kind=job.", stage.scientist("outsider"))
    assert hidden.json() == {"items": [], "next": 0}
    assert (await api.call("GET", "/audit/search?kind=A", stage.operator)).status_code == 422


async def test_a_search_goes_page_by_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditsearch, "_AT_ONCE", 3)
    monkeypatch.setattr(auditsearch, "MOST_LOOKED_AT", 4)
    who, seen, before = api.stage.scientist("outsider"), [], 0
    while True:
        page = (await api.call("GET", f"/audit/search?limit=2&before={before}", who)).json()
        seen += [one["index"] for one in page["items"]]
        if not (before := page["next"]):
            break
    whole = (await api.call("GET", "/audit/entries?limit=500", who)).json()["items"]
    assert seen == [one["index"] for one in whole if "kind" in one][::-1]


async def test_the_log_is_exported_as_json_lines_and_csv_without_formulas(api: Api) -> None:
    stage = api.stage
    path = "/audit/export?kind=organisation."
    lines = (await api.call("GET", path, stage.operator)).text.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [one["kind"] for one in rows[:1]] == ["organisation.created"]
    answer = await api.call("GET", f"{path}&format=csv", stage.operator)
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="ledger.csv"' in answer.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(one["index"]) for one in table] == [one["index"] for one in rows]
    job = f"/audit/export?job={stage.ids['job']}"
    assert (await api.call("GET", job, stage.scientist("outsider"))).status_code == 404


async def test_cells_that_begin_like_formulas_are_texts() -> None:
    entry = {"index": 1, "at": 2, "kind": "@x", "author": "=1+1", "job": "-1", "hash": "+a"}

    async def entries() -> AsyncIterator[dict[str, Any]]:
        yield entry

    _, row = [line async for line in rest_auditsearch._csv(entries())]
    assert next(csv.reader([row])) == ["1", "2", "'@x", "'=1+1", "'-1", "'+a", ""]
    assert [plain_cell(one) for one in ("=1", "＝1", "@x", "\tx", "x=1", "")] == [
        "'=1", "'＝1", "'@x", "'\tx", "x=1", "",
    ]  # fmt: skip


async def test_a_jobs_events_are_listed(api: Api) -> None:
    stage, key = api.stage, api.stage.ids["job"]
    for number in range(3):
        await move(stage, key, JobState.APPROVED, f"s{number}")
    seen, after = [], 0
    while True:
        path = f"/jobs/{key}/history?after={after}&limit=2"
        page = (await api.call("GET", path, stage.scientist("bank-b"))).json()
        seen += [one["data"]["state"] for one in page["items"]]
        if not (after := page["next"]):
            break
    assert seen == ["proposed", "s0", "s1", "s2"]
    outsider = await api.call("GET", f"/jobs/{key}/history", stage.scientist("outsider"))
    assert outsider.status_code == 404
