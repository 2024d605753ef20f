"""The owner's notifications: from the agent's own record, and carried out by the agent itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from secureflow.agent.edge.notifying import NotificationCommands, OwnWatch, senders
from secureflow.agent.notificationsettings import OwnNotificationSettings
from secureflow.agent.owner import notifications
from secureflow.agent.owner.folding import PER_CAUSE, PER_KIND, SEVERAL, WINDOW
from secureflow.agent.owner.notifications import CURSOR, FOLDED, OwnNotifications
from secureflow.agent.record.records import InboxItem
from secureflow.agent.record.store import RecordStore
from secureflow.agent.verbs.dispatch import AgentVerbs
from secureflow.domain.agentnotificationkinds import AGENT_KINDS
from secureflow.domain.deliveries import FIRST_PAUSE, MOST_TRIES, Delivery
from secureflow.domain.notifications import MOST_KEPT, WITHHELD
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import catalogue

SMTP = {"host": "mail.example", "sender": "agent@bank-a.example"}
HOOK = {"url": "https://siem.bank-a.example/in?key=s3cret", "secret_file": "hook.secret"}


class Owner:
    def __init__(self, store: RecordStore, settings: OwnNotificationSettings) -> None:
        self.store, self.now, self.sent = store, 1_000, list[tuple[str, Delivery]]()
        self.failure: SecureFlowError | None = None
        send = {"email": self._send, "webhook": self._send}
        self.told = OwnNotifications(store, settings, send, lambda: self.now)

    async def _send(self, to: str, delivery: Delivery) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append((to, delivery))

    def note(self, action: str, job: str = "", **facts: Any) -> None:
        with self.store.transaction():
            self.store.note(self.now, action, job, **facts)

    def kinds(self) -> list[str]:
        self.told.collect()
        return [one.kind for one in self.told.listed(unread=False, limit=100)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordStore]:
    made = RecordStore(tmp_path / "agent.db")
    yield made
    made.close()


def settings(**more: Any) -> OwnNotificationSettings:
    return OwnNotificationSettings.model_validate(more)


@pytest.fixture
def owner(store: RecordStore) -> Owner:
    made = Owner(store, settings(smtp=SMTP, to=["ada@bank-a.example"], webhooks=[HOOK]))
    made.told.collect()
    return made


def test_what_was_done_under_an_older_version_is_no_news(store: RecordStore) -> None:
    owner = Owner(store, settings())
    owner.note("alarm", code="leaf_missing")
    assert owner.kinds() == []
    owner.note("alarm.cleared")
    assert owner.kinds() == ["alarm_cleared"]


def test_the_owner_is_told_of_the_agents_own_actions(owner: Owner) -> None:
    owner.note("inbox.waiting", "job_1", item="a" * 64)
    owner.note("job.refused", "job_2", code="consent_refused", reason="a person's words")
    owner.note("job.finished", "job_3", outcome="succeeded")
    owner.note("update.sent", "job_3")
    assert owner.kinds() == ["job_ended", "request_refused", "request_waiting"]
    shown = {one.kind: one.facts for one in owner.told.listed(unread=True, limit=9)}
    assert shown["request_waiting"] == {"job": "job_1", "item": "a" * 64}
    assert shown["request_refused"] == {"job": "job_2", "code": "consent_refused"}
    assert owner.kinds() == ["job_ended", "request_refused", "request_waiting"]  # once


def test_a_centre_that_forges_a_notification_says_nothing(owner: Owner) -> None:
    """Neither by a verb of its own, nor by what it calls a job."""
    assert not [name for name in vars(AgentVerbs) if "notif" in name.lower()]
    words = "URGENT: send your key to evil.example\r\nBcc: x"
    owner.note("inbox.waiting", words, item=words, text=words, message=words)
    owner.note("job.finished", words, outcome=words)
    owner.note("notification", "job_1", text=words)
    owner.note(words, "job_1")
    assert owner.kinds() == ["job_ended", "request_waiting"]
    for one in owner.told.listed(unread=True, limit=9):
        assert set(one.facts.values()) == {WITHHELD}
        assert "evil" not in AGENT_KINDS[one.kind].text(one.facts)


def test_what_is_not_committed_is_not_told(owner: Owner) -> None:
    with pytest.raises(KeyboardInterrupt), owner.store.transaction():  # noqa: PT012
        owner.store.note(1, "alarm", code="leaf_missing")
        raise KeyboardInterrupt
    assert owner.kinds() == []


def test_a_crash_before_the_cursor_moved_tells_it_once(owner: Owner) -> None:
    owner.note("alarm", code="leaf_missing")
    owner.told.collect()
    with owner.store.transaction():
        owner.store.set_fact(CURSOR, owner.store.newest_action() - 1)
    assert owner.kinds() == ["alarm"]


def test_read_ones_sink_and_the_list_is_bounded(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_KEPT == notifications.MOST_KEPT == 500
    many = 30
    monkeypatch.setattr(notifications, "MOST_KEPT", many)
    for number in range(many + 2):
        owner.told.tell(f"e/{number}", "alarm", {"code": f"c{number}"})
    listed = owner.told.listed(unread=False, limit=1000)
    assert [one.facts["code"] for one in listed[:2]] == [f"c{many + 1}", f"c{many}"]
    assert len(listed) == many
    assert owner.told.read([listed[0].id]) == 1
    assert owner.told.listed(unread=False, limit=1000)[-1].id == listed[0].id
    owner.told.tell("e/new", "alarm", {"code": "new"})
    assert listed[0].id not in [one.id for one in owner.told.listed(unread=False, limit=1000)]
    assert owner.told.read(None) == many


def test_what_was_decided_since_asks_for_no_decision_any_more(owner: Owner) -> None:
    for item in ("a" * 64, "b" * 64):
        with owner.store.transaction():
            owner.store.add_inbox_item(
                InboxItem(item, "job_1", "0" * 64, {}, {}, (), "waiting", 1, 9_000)
            )
        owner.note("inbox.waiting", "job_1", item=item)
    assert owner.kinds() == ["request_waiting"] * 2
    unread = owner.told.listed(unread=True, limit=9)
    assert [one.facts["item"] for one in unread] == ["b" * 64, "a" * 64]
    with owner.store.transaction():
        found = owner.store.inbox_item("a" * 64)
        assert found is not None
        owner.store.decide_inbox_item(replace(found, state="approved", decided_at=owner.now))
    unread = owner.told.listed(unread=True, limit=9)
    assert [one.facts["item"] for one in unread] == ["b" * 64]


async def test_mail_and_webhooks_carry_ids_and_are_tried_again(owner: Owner) -> None:
    owner.note("job.finished", "job_1", outcome="failed", reason="a person's words")
    owner.note("alarm", code="leaf_missing", message="a person's words")
    owner.told.collect()
    owner.failure = SecureFlowError("delivery_failed", "away")
    await owner.told.deliver()
    await owner.told.deliver()  # not before it is due
    assert {one.tries for one in owner.store.outgoing("waiting")} == {1}
    owner.now += FIRST_PAUSE
    owner.failure = None
    await owner.told.deliver()
    assert sorted((to, one.kind) for to, one in owner.sent) == [
        ("ada@bank-a.example", "alarm"),  # an end of a job is no warning
        (HOOK["url"], "alarm"), (HOOK["url"], "job_ended"),
    ]  # fmt: skip
    assert "words" not in str(owner.sent)
    assert owner.store.outgoing("waiting") == []


async def test_what_keeps_failing_is_given_up_on_and_listed(owner: Owner) -> None:
    owner.told.tell("e/1", "alarm", {"code": "x"})
    owner.failure = SecureFlowError("delivery_failed", "away")
    for _ in range(MOST_TRIES):
        await owner.told.deliver()
        owner.now += 10**6
    assert owner.store.outgoing("waiting") == []
    rows = await NotificationCommands(owner.told).failed()
    assert {(row["channel"], row["code"], row["tries"]) for row in rows} == {
        ("email", "delivery_failed", MOST_TRIES), ("webhook", "delivery_failed", MOST_TRIES),
    }  # fmt: skip
    assert "s3cret" not in str(rows)


async def test_a_test_says_what_became_of_each_receiver(owner: Owner) -> None:
    tested = await owner.told.test()
    assert [(one["channel"], one["to"], one["problem"]) for one in tested] == [
        ("email", "ada@bank-a.example", None), ("webhook", "https://siem.bank-a.example", None),
    ]  # fmt: skip
    owner.failure = SecureFlowError("address_refused", "private")
    assert all(one["problem"]["code"] == "address_refused" for one in await owner.told.test())  # type: ignore[index,call-overload]


async def test_the_commands_list_and_mark(owner: Owner) -> None:
    commands = NotificationCommands(owner.told)
    owner.note("alarm", code="leaf_missing")
    (one,) = await commands.every(unread=True)
    assert (one["severity"], one["kind"]) == ("critical", "alarm")
    assert one["texts"]  # who shows it can say it in Chinese
    assert await commands.read([one["id"]]) == {"read": 1}
    assert await commands.every(unread=True) == []


async def test_low_budgets_and_old_certificates_are_told_once(owner: Owner) -> None:
    rows: list[dict[str, Any]] = [
        {"domain": "customers", "epsilon": 10.0, "spent": 8.5},
        {"domain": "wide", "epsilon": 10.0, "spent": 7.9},
    ]

    async def budgets() -> list[dict[str, Any]]:
        return rows

    ends = [owner.now + 12 * 3600]  # of 24: it is renewed by and by
    watch = OwnWatch(owner.told, budgets, lambda: ends[0], 20, lambda: owner.now)
    await watch.look()
    await watch.look()
    assert owner.kinds() == ["budget_low"]
    (one,) = owner.told.listed(unread=True, limit=9)
    assert one.facts == {"domain": "customers", "percent": 15}
    ends[0] = owner.now + 5 * 3600
    await watch.look()
    await watch.look()
    assert owner.kinds() == ["certificate_expiring", "budget_low"]


async def test_webhooks_are_signed_with_the_owners_secret_and_stay_public(tmp_path: Path) -> None:
    secret = tmp_path / "hook.secret"
    url = "https://127.0.0.1:9/"
    own = settings(webhooks=[{"url": url, "secret_file": str(secret)}])
    send = senders(own, lambda: 1)["webhook"]
    one = Delivery("dlv_1", "k", "webhook", url, "", "test", 1, {}, 1, 1)

    async def code() -> str:
        with pytest.raises(SecureFlowError) as refused:
            await send(url, one)
        return refused.value.code

    assert await code() == "key_unreadable"
    secret.write_text("too short\n")
    secret.chmod(0o600)
    assert await code() == "key_unreadable"
    secret.write_text("long enough for a secret\n")
    assert await code() == "address_refused"
    own = settings(webhooks=[{"url": url, "secret_file": str(secret)}], allow=["127.0.0.0/8"])
    assert own.allow == (ipaddress.ip_network("127.0.0.0/8"),)
    send = senders(own, lambda: 1)["webhook"]
    assert await code() == "delivery_failed"  # it was dialled, and nobody is there
    with pytest.raises(SecureFlowError):
        await send("https://other.example/", one)


def test_settings_name_known_kinds_and_plain_addresses() -> None:
    for bad in (
        {"kinds": ["nonsense"]}, {"to": ["a@b.example\r\nBcc: x@y.example"]},
        {"webhooks": [{**HOOK, "url": "http://siem.example/"}]}, {"to": ["ada"]},
        {"smtp": {**SMTP, "security": "none"}},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            settings(**bad)


# --- a flood, and what it must not bury ---------------------------------------------------------


def refuse(owner: Owner, many: int, code: str = "consent_refused") -> None:
    for number in range(many):
        owner.note("job.refused", f"job_{code}_{number}", code=code)


def test_what_a_centre_provokes_is_told_a_few_times_and_then_counted(owner: Owner) -> None:
    refuse(owner, 312 + PER_CAUSE)
    while owner.told.collect():
        pass
    assert owner.kinds() == ["request_refused"] * PER_CAUSE
    refuse(owner, 1, "grant_missing")  # another cause is news
    assert len(owner.kinds()) == PER_CAUSE + 1
    owner.now += WINDOW
    assert owner.kinds()[0] == "repeated"
    (one,) = [one for one in owner.told.listed(unread=True, limit=9) if one.kind == "repeated"]
    assert one.facts == {"kind": "request_refused", "code": "consent_refused", "count": 312}
    assert "312 more" in AGENT_KINDS["repeated"].text(one.facts)
    assert owner.kinds().count("repeated") == 1  # once
    refuse(owner, 1)  # another hour
    assert owner.kinds()[0] == "request_refused"


def test_causes_that_a_centre_varies_are_bounded_in_all(owner: Owner) -> None:
    for number in range(200):
        refuse(owner, 1, f"code_{number}")
    while owner.told.collect():
        pass
    assert owner.kinds() == ["request_refused"] * PER_KIND
    owner.now += WINDOW
    owner.told.collect()
    (one,) = [one for one in owner.told.listed(unread=True, limit=99) if one.kind == "repeated"]
    assert one.facts == {"kind": "request_refused", "code": SEVERAL, "count": 200 - PER_KIND}


def test_what_was_counted_survives_the_agent_and_a_damaged_count_does_no_harm(
    owner: Owner,
) -> None:
    refuse(owner, PER_CAUSE + 3)
    owner.told.collect()
    again = Owner(owner.store, settings())
    refuse(again, 2)
    again.told.collect()
    again.now += WINDOW
    again.told.collect()
    (one,) = [one for one in again.told.listed(unread=True, limit=9) if one.kind == "repeated"]
    assert one.facts["count"] == 5
    for damaged in (7, {"request_refused": 7}, {"request_refused": {"since": "x"}}):
        with owner.store.transaction():
            owner.store.set_fact(FOLDED, damaged)
        assert again.told.collect() == 0


def test_alarms_and_what_people_do_are_always_told(owner: Owner) -> None:
    for number in range(PER_KIND + 5):
        owner.note("alarm", code="leaf_missing")
        owner.note("grant.revoked", grant="a" * 64, by="owner", user=1000)
        owner.note("stop.set", kind="requester", name=f"usr_{number}", by="centre")
    kinds = owner.kinds()
    assert kinds.count("alarm") == kinds.count("grant_revoked") == PER_KIND + 5
    assert kinds.count("stop_set") == PER_CAUSE  # the centre can cause those


def test_a_full_queue_has_room_for_what_matters(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MOST_WAITING", 20)
    owner = Owner(store, settings(webhooks=[HOOK]))
    for number in range(25):
        owner.told.tell(f"e/{number}", "job_ended", {"job": f"job_{number}", "outcome": "failed"})
    assert len(owner.store.outgoing("waiting")) == 15
    for number in range(25):
        owner.told.tell(f"w/{number}", "alarm_cleared", {})
    assert owner.told.tell("alarm", "alarm", {"code": "leaf_missing"})
    waiting = [one.kind for one in owner.store.outgoing("waiting")]
    assert len(waiting) == 20
    assert waiting.count("alarm") == 1
    assert "job_ended" not in waiting


def test_an_unread_alarm_is_the_last_to_go(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "MOST_KEPT", 10)
    owner.told.tell("alarm", "alarm", {"code": "leaf_missing"})
    for number in range(15):
        owner.told.tell(f"w/{number}", "alarm_cleared", {})
    kept = [one.kind for one in owner.told.listed(unread=False, limit=1000)]
    assert (len(kept), kept.count("alarm")) == (10, 1)


def test_grants_and_accounts_are_news_that_no_setting_silences(store: RecordStore) -> None:
    hook = {**HOOK, "kinds": ["request_waiting"]}
    owner = Owner(
        store, settings(smtp=SMTP, to=["a@b.example"], kinds=["request_waiting"], webhooks=[hook])
    )
    owner.told.collect()
    psn = "psn_0123456789"
    for action, facts in (
        ("person.added", {"user": 1000, "roles": ["owner-admin"]}),
        ("person.roles", {"provider": "sso"}),
        ("person.disabled", {"person": psn, "user": 4711}),
        ("person.reset", {"person": psn, "second_factor": False}),
        ("person.reset", {"person": psn, "second_factor": True}),
        ("person.bound", {"person": psn, "provider": "sso"}),
    ):
        owner.note(action, of="psn_9876543210", **facts)
    owner.note("grant.created", grant="a" * 64, terms={"dataset": "secret"}, person=psn)
    owner.note("grant.revoked", grant="a" * 64, by="centre", reason="words", user=1000)
    owner.note("job.finished", "job_1", outcome="succeeded")
    owner.told.collect()
    told = {one.kind: one.facts for one in owner.told.listed(unread=True, limit=99)}
    assert {kind: facts["by"] for kind, facts in told.items() if "by" in facts} == {
        "account_made": "uid:1000", "account_roles": "oidc:sso", "account_disabled": psn,
        "account_reset": psn, "second_factor_removed": psn, "account_bound": psn,
        "grant_made": psn, "grant_revoked": "centre",
    }  # fmt: skip
    sent = owner.store.outgoing("waiting", limit=99)
    assert {one.kind for one in sent} == {*told} - {"job_ended"}
    assert len(sent) == 2 * (len(told) - 1)
    assert "secret" not in str(sent)
    assert "words" not in str(sent)


async def test_a_grant_that_ends_soon_is_told_once(owner: Owner) -> None:
    async def budgets() -> list[dict[str, Any]]:
        return []

    ends = {"a" * 64: owner.now + 8 * 86_400, "b" * 64: owner.now - 1}
    far = owner.now + 10**9
    watch = OwnWatch(owner.told, budgets, lambda: far, 20, lambda: owner.now, lambda: ends)
    await watch.look()
    assert owner.kinds() == []
    owner.now += 86_400
    await watch.look()
    await watch.look()
    assert owner.kinds() == ["grant_expiring"]
    (one,) = owner.told.listed(unread=True, limit=9)
    assert one.facts == {"grant": "a" * 64, "days": 7}


def test_every_kind_is_said_in_chinese() -> None:
    for kind in AGENT_KINDS.values():
        assert kind.text({}).template in catalogue(), kind.name
