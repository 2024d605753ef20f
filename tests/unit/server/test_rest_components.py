"""The catalogue of components over REST."""

from __future__ import annotations

import secureflow.application.components.catalogue as module
from tests.unit.server.conftest import Api


async def test_the_catalogue_is_sent_once_for_each_version(api: Api) -> None:
    admin = api.stage.admin("bank-a")
    assert (await api.call("GET", "/components")).status_code == 401
    first = await api.call("GET", "/components", admin)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    assert "training" in {one["id"] for one in first.json()["components"]}
    known = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    again = await api.call("GET", "/components", admin, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    other = await api.call("GET", "/components", admin, headers={"If-None-Match": '"other"'})
    assert other.content == first.content


async def test_the_catalogue_has_the_shape_that_is_described(api: Api) -> None:
    from secureflow.server.rest.components import ComponentCatalogue

    found = (await api.call("GET", "/components", api.stage.admin("bank-a"))).json()
    read = ComponentCatalogue.model_validate(found)
    assert read.model_dump(by_alias=True) == found
    assert read.version == module.VERSION


async def test_a_draft_is_answered_in_the_readers_language(api: Api) -> None:
    scientist, project = api.stage.scientist("bank-a"), api.stage.ids["project"]
    draft = {"kind": "training", "project": project, "name": "n", "purpose": "p", "datasets": [],
             "plan": {"rounds": 0}}  # fmt: skip
    answer = await api.call("POST", "/jobs/check-draft", scientist, json=draft)
    assert answer.status_code == 200
    assert "plan.rounds" in {one["field"] for one in answer.json()["problems"]}
    chinese = await api.call(
        "POST", "/jobs/check-draft", scientist, json={"kind": "x", "project": project},
        headers={"Accept-Language": "zh"},
    )  # fmt: skip
    (one,) = chinese.json()["problems"]
    assert "类型" in one["hint"]


async def test_a_draft_and_a_dry_run_tell_who_learns_what_in_chinese(api: Api) -> None:
    from dataclasses import asdict

    scientist, wanted = api.stage.scientist("bank-a"), asdict(api.stage.wanted())
    body = {name: wanted[name] for name in ("project", "name", "purpose", "datasets", "kind")}
    body |= {**wanted["parts"], "datasets": list(body["datasets"])}
    told = [
        (await api.call("POST", path, scientist, json=body, headers={"Accept-Language": "zh"}))
        .json()["preview"]["learns"]
        for path in ("/jobs/check-draft", "/jobs/dry-run")
    ]  # fmt: skip
    assert told[0] == told[1]
    assert told[0][0]["who"] == "数据所有者"
