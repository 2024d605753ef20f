"""Notifications and webhooks over REST."""

from __future__ import annotations

import asyncio
import json

import httpx

from secureflow.domain.notificationkinds import KINDS
from secureflow.texts import catalogue
from tests.unit.server.conftest import Api


async def invited(api: Api) -> None:
    """Tell the administrator of `outsider` something new."""
    await api.stage.services.notices.notifying.poll()
    await api.call(
        "POST", f"/projects/{api.stage.ids['project']}/members", api.stage.admin("bank-a"),
        json={"organisation": "outsider"},
    )  # fmt: skip
    await api.stage.services.notices.notifying.poll()


async def test_a_notification_is_read_in_the_readers_language(api: Api) -> None:
    await invited(api)
    admin, project = api.stage.admin("outsider"), api.stage.ids["project"]
    (one,) = (await api.call("GET", "/notifications", admin)).json()["items"]
    assert one["text"].startswith(f"outsider is invited to project {project}")
    assert (one["link"], one["severity"], one["read"]) == (f"/projects/{project}", "warning", None)
    chinese = await api.call("GET", "/notifications", admin, headers={"Accept-Language": "zh"})
    assert "受邀加入项目" in chinese.json()["items"][0]["text"]
    assert (await api.call("GET", "/notifications/unread", admin)).json() == {"unread": 1}
    assert (await api.call("POST", f"/notifications/{one['id']}/read", admin)).status_code == 204
    assert (await api.call("GET", "/notifications?unread=true", admin)).json()["items"] == []
    (read,) = (await api.call("GET", "/notifications", admin)).json()["items"]
    assert read["read"] == api.stage.now[0]
    assert (await api.call("POST", "/notifications/read", admin)).json() == {"read": 0}


async def test_a_list_goes_page_by_page(api: Api) -> None:
    admin, seen, cursor = api.stage.admin("bank-a"), [], ""
    async with api.stage.database.begin() as work:
        from secureflow.domain.notifications import Notification

        for number in range(5):
            one = Notification(0, admin.user, "log_set_back", number, {"origin": "x"})
            await work.notifications.add(f"e/{number}", [one])
        await work.commit()
    while True:
        page = (await api.call("GET", f"/notifications?limit=2&cursor={cursor}", admin)).json()
        seen += [one["at"] for one in page["items"]]
        if not (cursor := page["next"]):
            break
    assert seen == [4, 3, 2, 1, 0]


async def test_the_stream_replays_what_came_after_the_last_event(api: Api) -> None:
    await invited(api)
    admin = api.stage.admin("outsider")
    (one,) = (await api.call("GET", "/notifications", admin)).json()["items"]
    api.stage.stopping[0] = True  # a stream ends with the server
    api.stage.services.notifications._stopping = iter([False, True, True, True]).__next__
    bearer = {"Authorization": f"Bearer {await api.stage.bearer(admin)}"}
    answer = await api.http.get(
        "/api/v1/notifications/events", headers={**bearer, "Last-Event-ID": str(one["id"] - 1)}
    )
    lines = dict(line.split(": ", 1) for line in answer.text.splitlines() if ": " in line)
    assert (lines["event"], lines["id"]) == ("notification", str(one["id"]))
    assert json.loads(lines["data"])["text"] == one["text"]
    api.stage.services.notifications._stopping = iter([False, True, True, True]).__next__
    answer = await api.http.get(
        "/api/v1/notifications/events", headers={**bearer, "Last-Event-ID": str(one["id"])}
    )
    assert "data" not in answer.text


async def test_the_stream_ends_with_the_token(api: Api, monkeypatch: object) -> None:
    from secureflow.server.rest import notifications, streams

    admin = api.stage.admin("outsider")
    text = await api.stage.bearer(admin)

    def at_once(events: object, let_in: object) -> object:
        return streams.while_let_in(events, let_in, 0.0)  # type: ignore[arg-type]

    monkeypatch.setattr(notifications, "while_let_in", at_once)  # type: ignore[attr-defined]
    watching = asyncio.ensure_future(
        api.http.get("/api/v1/notifications/events", headers={"Authorization": f"Bearer {text}"})
    )
    await api.stage.bus.joined.wait()
    assert not watching.done()
    await api.stage.services.tokens.logout(text)
    answer: httpx.Response = await asyncio.wait_for(watching, 20)
    assert answer.status_code == 200


async def test_preferences_are_checked_and_kept(api: Api) -> None:
    admin = api.stage.admin("bank-a")
    change = {"language": "zh", "silenced": ["job_approved"], "mailed": ["job_failed"]}
    answer = await api.call("PATCH", "/notifications/preferences", admin, json=change)
    shown = (await api.call("GET", "/notifications/preferences", admin)).json()
    assert answer.json() == shown
    assert shown == {**change, "email": "", "confirmed": False}
    bad = await api.call(
        "PATCH", "/notifications/preferences", admin, json={"silenced": ["nonsense"]}
    )
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid_request")
    off = await api.call(
        "PATCH", "/notifications/preferences", admin, json={"email": "a@b.example"}
    )
    assert (off.status_code, off.json()["code"]) == (409, "channel_off")


async def test_a_webhooks_secret_is_in_one_answer_only(api: Api) -> None:
    admin = api.stage.admin("bank-a")
    body = {"url": "https://siem.example/in", "kinds": ["job_failed"]}
    made = await api.call(
        "POST", "/webhooks", admin, json=body, headers={"Idempotency-Key": "once"}
    )
    secret = made.json()["secret"]
    assert (made.status_code, secret[:4]) == (201, "whs_")
    assert all(secret not in str(kept) for kept in api.stage.database.tables.answers.values())
    (listed,) = (await api.call("GET", "/webhooks", admin)).json()["items"]
    assert listed == {**made.json(), "secret": ""}
    assert (await api.call("GET", "/webhooks", api.stage.admin("bank-b"))).json()["items"] == []


def test_every_kind_is_said_in_chinese() -> None:
    for kind in KINDS.values():
        text = kind.text({})
        assert text.template in catalogue(), kind.name
        assert kind.about in ("", *kind.facts)
