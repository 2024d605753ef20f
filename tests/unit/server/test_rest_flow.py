"""The API as its clients use it, end to end over the in-memory platform."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from secureflow.application.reports import page as reports
from secureflow.domain.jobs import JobState
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.users import Role
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.pki import ca_fingerprint, make_csr, new_link_key
from secureflow.server.rest.app import described_app
from secureflow.server.rest.bodies import StrictRoute
from secureflow.server.rest.errorpages import NavigatedRoute
from secureflow.server.rest.idempotency import OnceRoute
from tests.stage import BANKS, FEATURES, PASSWORD
from tests.unit.server.conftest import Api


def job_body(api: Api, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "training",
        "project": api.stage.ids["project"],
        "name": "income model",
        "purpose": "credit-scoring",
        "datasets": [api.stage.ids[f"{bank}.dataset"] for bank in BANKS],
        "features": FEATURES,
        **changes,
    }


async def ok(api: Api, *args: Any, status: int = 200, **more: Any) -> Any:
    response = await api.call(*args, **more)
    assert response.status_code == status, response.text
    return response.json() if response.content else None


async def test_a_process_describes_its_routes_once(api: Api) -> None:
    """The description takes longer than all the rest of a start: processes are forked with it."""
    assert api.stage.services.jobs.kinds == SPEC_KINDS
    assert api.app.router is described_app().router


def test_the_app_has_its_routes_themselves() -> None:
    """FastAPI inspects those of an included router again, at the start and at the first request."""
    assert {type(route) for route in described_app().routes} == {
        *(APIRoute, NavigatedRoute, OnceRoute, Route, StrictRoute)
    }


async def test_people_log_in_and_out(api: Api) -> None:
    admin = api.stage.admin("bank-a")
    body = {"name": "ada", "password": PASSWORD, "organisation": "bank-a", "roles": ["auditor"]}
    user = await ok(api, "POST", "/users", admin, json=body, status=201)
    assert "password" not in user
    session = await ok(api, "POST", "/login", json={"name": "ada", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {session['token']}"}
    assert (await ok(api, "GET", "/me", headers=headers))["id"] == user["id"]
    made = await ok(
        api, "POST", "/tokens", headers=headers, json={"label": "ci", "days": 1}, status=201
    )
    assert made["token"].startswith("sft_")
    listed = await ok(api, "GET", "/tokens", headers=headers)
    assert {token["token"] for token in listed["items"]} == {""}
    change = {"old": PASSWORD, "new": "another good password"}
    await ok(api, "POST", "/me/password", headers=headers, json=change, status=204)
    await ok(api, "POST", "/logout", headers=headers, status=204)
    assert (await api.call("GET", "/me", headers=headers)).status_code == 401


async def test_a_newcomer_enrols(api: Api) -> None:
    operator = api.stage.operator
    await ok(
        api, "POST", "/organisations", operator, json={"id": "bank-d", "name": "D"}, status=201
    )
    made = await ok(
        api, "POST", "/enrolments", operator,
        json={"kind": "agent", "organisation": "bank-d"}, status=201,
    )  # fmt: skip
    ca = await api.call("GET", "/ca")
    token = EnrolmentToken.parse(made["token"])
    assert ca_fingerprint(ca.text) == token.ca_fingerprint
    key, csr = SigningKey.generate(), make_csr(new_link_key())
    body = {
        "token": made["token"],
        "csr": csr,
        "name": "agent-1",
        "key": key.public,
        "signature": key.sign("enrol", proof_body(token.id, csr, key.public)),
    }
    enrolled = await ok(api, "POST", "/enroll", json=body, status=201)
    assert enrolled["link"] == "127.0.0.1:8444"
    assert enrolled["log"] == {"origin": api.stage.ledger.origin, "key": api.stage.ledger.public}
    assert (await api.call("POST", "/enroll", json=body)).status_code == 401
    revoked = await ok(api, "POST", f"/agents/{enrolled['spiffe']}/revoke", operator)
    assert revoked["revoked"] is not None


async def test_a_job_is_checked_submitted_watched_and_reported(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    told = await ok(api, "POST", "/jobs/dry-run", ada, json=job_body(api))
    job = await ok(api, "POST", "/jobs", ada, json=job_body(api), status=201)
    assert job["digest"] == told["digest"]
    assert job["spec"] == told["spec"]
    page = await ok(api, "GET", f"/jobs?state=proposed&project={job['project']}", ada)
    assert job["id"] in [one["id"] for one in page["items"]]
    assert (await api.call("GET", f"/jobs/{job['id']}/report", ada)).status_code == 409
    cancelled = await ok(api, "POST", f"/jobs/{job['id']}/cancel", ada)
    assert cancelled["id"] == job["id"]
    entity = await api.stage.services.jobs.get(ada, job["id"])
    async with api.stage.database.begin() as work:
        await work.events.append(job["id"], "round", api.stage.now[0], {"round": 1, "loss": 0.5})
        await work.events.append(job["id"], "done", api.stage.now[0], {"state": "succeeded"})
        await work.commit()
    await api.stage.finish(entity, state=JobState.SUCCEEDED, report={"rounds": 1})
    events = await api.call("GET", f"/jobs/{job['id']}/events", ada)
    assert events.headers["content-type"].startswith("text/event-stream")
    ids = [line[4:] for line in events.text.splitlines() if line.startswith("id: ")]
    kinds = [line[7:] for line in events.text.splitlines() if line.startswith("event: ")]
    assert kinds == ["state", "round", "done"]
    resumed = await api.call(
        "GET", f"/jobs/{job['id']}/events", ada, headers={"Last-Event-ID": ids[1]}
    )
    assert "event: done" in resumed.text
    assert "event: round" not in resumed.text
    same = await api.call("GET", f"/jobs/{job['id']}/events?after={ids[1]}", ada)
    assert same.text == resumed.text
    assert await ok(api, "GET", f"/jobs/{job['id']}/report", ada) == {"rounds": 1}


async def test_a_sum_of_too_few_is_refused_with_the_reason(api: Api) -> None:
    datasets = [api.stage.ids[f"{bank}.dataset"] for bank in BANKS[:1]]
    for change in ({"datasets": datasets}, {"min_contributors": 2}):
        response = await api.call(
            "POST", "/jobs", api.stage.scientist("bank-a"), json=job_body(api, **change)
        )
        assert response.status_code == 422
        assert response.json()["code"] == "contradictory_spec"
        assert "each party the others' data" in response.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (None, "kind: it is missing"),
        ("juggling", f"kind: one of {', '.join(map(repr, SPEC_KINDS))} is needed"),
        ("statistics", "queries, privacy: Field required"),
    ],
)
async def test_the_kind_of_a_job_is_asked_for(api: Api, kind: str | None, says: str) -> None:
    body = {name: value for name, value in job_body(api).items() if name != "kind"}
    body |= {} if kind is None else {"kind": kind}
    answer = await api.call("POST", "/jobs", api.stage.scientist("bank-a"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert says in answer.json()["detail"]
    assert "juggling" not in answer.text


async def test_jobs_are_listed_by_kind(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    job = await ok(api, "POST", "/jobs", ada, json=job_body(api), status=201)
    found = await ok(api, "GET", "/jobs?kind=training", ada)
    assert job["id"] in [one["id"] for one in found["items"]]
    assert (await ok(api, "GET", "/jobs?kind=statistics", ada))["items"] == []


async def test_lists_page_by_cursor(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    made = [
        await ok(api, "POST", "/projects", ada, json={"name": f"p{n}", "purpose": "x"}, status=201)
        for n in range(5)
    ]
    seen: list[str] = []
    cursor = ""
    while True:
        page = await ok(api, "GET", f"/projects?limit=2&cursor={cursor}", ada)
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == sorted({api.stage.ids["project"], *(one["id"] for one in made)})


async def test_log_entries_page_by_cursor(api: Api) -> None:
    auditor = api.stage.person("bank-a", Role.AUDITOR)
    indices: list[int] = []
    cursor = ""
    while True:
        page = await ok(api, "GET", f"/audit/entries?limit=10&cursor={cursor}", auditor)
        indices += [entry["index"] for entry in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert indices == list(range(len(api.stage.ledger.log)))
    hidden = await ok(api, "GET", "/audit/entries?limit=500", api.stage.admin("outsider"))
    assert {"index", "hash"} in [entry.keys() for entry in hidden["items"]]
    told = await ok(api, "GET", "/audit/consistency?old=3&new=9", auditor)
    assert told.keys() == {"from", "to", "proof"}


async def test_a_post_with_a_key_acts_once(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    body = {"name": "once", "purpose": "x"}
    headers = {"Idempotency-Key": "key-1"}
    first = await api.call("POST", "/projects", ada, json=body, headers=headers)
    again = await api.call("POST", "/projects", ada, json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotent-replay"] == "true"
    other = await api.call("POST", "/projects", ada, json={**body, "name": "2"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    foreign = await api.call(
        "POST", "/projects", api.stage.scientist("bank-b"), json=body, headers=headers
    )
    assert foreign.json()["id"] != first.json()["id"]
    assert len((await ok(api, "GET", "/projects", ada))["items"]) == 2


async def test_a_dry_run_makes_nothing_and_nothing_is_kept_of_it(api: Api) -> None:
    ada, stage = api.stage.scientist("bank-a"), api.stage
    body = {
        "kind": "training",
        "project": stage.ids["project"], "name": "n", "purpose": "credit-scoring",
        "datasets": list(stage.wanted().datasets), "features": FEATURES,
    }  # fmt: skip
    for name in ("n", "another"):
        answer = await api.call(
            "POST", "/jobs/dry-run", ada, json={**body, "name": name},
            headers={"Idempotency-Key": "key-4"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        assert answer.json()["spec"]["name"] == name
    assert stage.database.tables.answers == {}


async def test_a_failure_is_not_kept_and_a_bad_key_is_refused(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    headers = {"Idempotency-Key": "key-2"}
    bad = await api.call("POST", "/projects", ada, json={"name": "x"}, headers=headers)
    assert bad.status_code == 422
    good = await api.call(
        "POST", "/projects", ada, json={"name": "x", "purpose": "y"}, headers=headers
    )
    assert good.status_code == 201
    for key in ("", "a b", "x" * 129):
        refused = await api.call(
            "POST", "/projects", ada, json={"name": "x", "purpose": "y"},
            headers={"Idempotency-Key": key},
        )  # fmt: skip
        assert refused.status_code == 422, key


async def test_secrets_are_not_kept_for_idempotency(api: Api) -> None:
    headers = {"Idempotency-Key": "key-3"}
    body = {"kind": "agent", "organisation": "bank-a"}
    texts = set()
    for _ in range(2):
        made = await api.call("POST", "/enrolments", api.stage.operator, json=body, headers=headers)
        texts.add(made.json()["token"])
    assert len(texts) == 2
    assert not any(text in str(api.stage.database.tables) for text in texts)


async def test_a_key_without_a_token_reveals_nothing(api: Api) -> None:
    headers = {"Idempotency-Key": "key-1"}
    response = await api.call("POST", "/projects", json={}, headers=headers)
    assert response.status_code == 401


async def test_a_model_downloads_as_safetensors(api: Api) -> None:
    response = await api.call(
        "GET", f"/models/{api.stage.ids['model']}/content", api.stage.scientist("bank-c")
    )
    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(response.content)
    card = await ok(
        api, "GET", f"/models/{api.stage.ids['model']}/card", api.stage.scientist("bank-c")
    )
    assert card["version"] == 1


async def test_the_charter_and_the_directory_are_shown(api: Api) -> None:
    auditor = api.stage.person("outsider", Role.AUDITOR)
    charter = await ok(api, "GET", "/charter", auditor)
    assert len(charter["words"].split()) == 12
    assert len((await ok(api, "GET", "/organisations", auditor))["items"]) == 4
    assert (await api.call("GET", "/charter/candidate", auditor)).status_code == 404
    bundle = await ok(api, "GET", f"/audit/bundle?job={api.stage.ids['job']}", api.stage.operator)
    same = await ok(api, "GET", f"/jobs/{api.stage.ids['job']}/bundle", api.stage.operator)
    assert bundle == same


async def test_the_report_is_a_page_that_can_run_nothing(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    job = await api.stage.services.jobs.get(ada, api.stage.ids["job"])
    report = {"job": job.id, "name": "<script>alert(1)</script>", "tee": "SIMULATED SGX"}
    await api.stage.finish(job, state=JobState.SUCCEEDED, report=report)
    for lang in ("en", "zh"):
        page = await api.call("GET", f"/jobs/{job.id}/report?format=html&lang={lang}", ada)
        assert page.status_code == 200, page.text
        assert page.headers["content-type"].startswith("text/html")
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src")
        assert policy.endswith("sandbox")
        assert "<script" not in page.text
        assert "SIMULATED" in page.text
    other = await api.call("GET", f"/jobs/{job.id}/report?format=docx", ada)
    assert other.status_code == 422


async def test_a_page_is_made_off_the_loop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statistic by thousands of categories is megabytes: whoever reads it stopped the others."""
    threads: list[int] = []

    def render(report: object, lang: object) -> str:
        threads.append(threading.get_ident())
        return f"{report} {lang}"

    monkeypatch.setattr(reports, "render", render)
    ada = api.stage.scientist("bank-a")
    job = await api.stage.services.jobs.get(ada, api.stage.ids["job"])
    await api.stage.finish(job, state=JobState.SUCCEEDED, report={"job": job.id})
    page = await api.call("GET", f"/jobs/{job.id}/report?format=html", ada)
    assert page.status_code == 200
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
