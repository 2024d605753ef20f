"""From the ledger to inboxes: what is told, to whom, and how little it says."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import secureflow
from secureflow.application.access import Principal
from secureflow.application.notifying import CURSOR
from secureflow.application.occurrences import _BY_SERVER, Audience, Occurrence
from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.running.recording import server_leaf
from secureflow.domain.deliveries import MOST_WAITING, Delivery, Webhook
from secureflow.domain.jobs import JobState
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import MOST_KEPT, WITHHELD, Notification, Preferences
from secureflow.domain.users import Role
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.engines.ledger.setback import Hold
from tests.stage import ORIGIN, Stage, known_key

DAY = 86_400


@pytest.fixture
async def begun(stage: Stage) -> Stage:
    """The stage after the first look: what was before is nobody's news."""
    await stage.services.notices.notifying.poll()
    return stage


async def inbox(stage: Stage, principal: Principal) -> list[Notification]:
    await stage.services.notices.notifying.poll()
    return (await stage.services.notifications.list(principal)).items


async def kinds(stage: Stage, principal: Principal) -> list[str]:
    return [one.kind for one in await inbox(stage, principal)]


async def record(stage: Stage, kind: str, document: Any, job: str = "") -> None:
    key = known_key("log")
    leaf = server_leaf(
        kind, document, ORIGIN, key, stage.now[0], job=job, seq=len(stage.ledger.log)
    )
    await stage.submit_leaves([leaf])


async def test_what_was_before_the_first_start_is_nobodys_news(stage: Stage) -> None:
    assert stage.ledger.log
    for principal in stage.people.values():
        assert await kinds(stage, principal) == []


async def test_an_invitation_is_told_to_the_guests_administrators(begun: Stage) -> None:
    host = begun.admin("bank-a")
    await begun.services.projects.invite(host, begun.ids["project"], "outsider")
    (told,) = await inbox(begun, begun.admin("outsider"))
    assert (told.kind, told.facts) == (
        "project_invitation", {"project": begun.ids["project"], "organisation": "outsider"},
    )  # fmt: skip
    for other in (begun.owner("outsider"), begun.admin("bank-b"), begun.operator, host):
        assert await inbox(begun, other) == []


async def test_whoever_did_it_is_not_told(begun: Stage) -> None:
    owner = begun.owner("bank-a")
    await begun.services.datasets.revoke(owner, begun.ids["bank-a.grant"])
    assert await kinds(begun, owner) == []
    assert await kinds(begun, begun.admin("bank-a")) == ["grant_revoked"]
    assert await kinds(begun, begun.scientist("bank-b")) == ["grant_revoked"]
    assert await kinds(begun, begun.scientist("outsider")) == []


async def test_a_change_that_fails_tells_nothing(begun: Stage) -> None:
    with contextlib.suppress(RuntimeError):
        async with begun.services.users._transactions() as transaction:
            transaction.record("member.invited", {"organisation": "bank-b", "by": "x"})
            raise RuntimeError
    assert await kinds(begun, begun.admin("bank-b")) == []


async def test_an_entry_is_told_once_by_whatever_server(begun: Stage) -> None:
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    await begun.services.notices.notifying.poll()
    begun.database.tables.settings[CURSOR] -= 1  # entries moved by one place
    assert await kinds(begun, begun.admin("outsider")) == ["project_invitation"]


async def test_a_job_is_told_from_its_proposal_to_its_end(begun: Stage) -> None:
    job = await begun.services.jobs.submit(begun.scientist("bank-a"), begun.wanted())
    assert await kinds(begun, begun.owner("bank-b")) == ["job_proposed"]
    assert await kinds(begun, begun.scientist("bank-a")) == []
    await record(begun, "job.started", {}, job.id)
    document = {"outcome": "failed", "error": "party_silent", "reason": "bank-b's <b>disk</b>"}
    await record(begun, "job.finished", document, job.id)
    assert await kinds(begun, begun.scientist("bank-a")) == ["job_failed", "job_approved"]
    (failed, _) = await inbox(begun, begun.owner("bank-b"))
    assert failed.facts == {"job": job.id, "project": job.project, "code": "party_silent"}


async def test_a_refusal_is_called_one(begun: Stage) -> None:
    job = await begun.services.jobs.submit(begun.scientist("bank-a"), begun.wanted())
    await record(begun, "job.finished", {"outcome": "failed", "error": "consent_refused"}, job.id)
    assert await kinds(begun, begun.scientist("bank-a")) == ["job_refused"]


async def test_a_part_of_a_sweep_is_nobodys_news(begun: Stage) -> None:
    job = await begun.services.jobs.submit(begun.scientist("bank-a"), begun.wanted())
    await begun.services.notices.notifying.poll()
    await begun.finish(job, spec={**job.spec, "part_of": {"job": "job_1"}}, state=JobState.FAILED)
    await record(begun, "job.finished", {"outcome": "failed", "error": "x"}, job.id)
    assert await kinds(begun, begun.scientist("bank-a")) == []


async def test_a_party_cannot_speak_for_the_centre(begun: Stage) -> None:
    """Forged: a member signs a leaf of a kind that the centre records."""
    key, salt = known_key("bank-b"), bytes(32)
    user = begun.admin("bank-a").user
    for position, (kind, document) in enumerate(
        [
            ("user.updated", {"user": user, "by": "usr_evil"}),
            ("member.invited", {"organisation": "bank-a", "project": "prj_evil", "by": ""}),
            ("agent.revoked", {"organisation": "bank-a", "agent": "spiffe://x", "by": ""}),
        ]
    ):
        leaf = Leaf(kind, ORIGIN, "bank-b", begun.now[0], commitment(salt, document))
        signed = sign_leaf(leaf, key)
        await begun.submit_leaves(
            [PendingLeaf("", 77, position, kind, "bank-b", signed.data(), document, salt)]
        )
    assert await kinds(begun, begun.admin("bank-a")) == []


async def test_nothing_that_somebody_wrote_is_told(begun: Stage) -> None:
    evil = "https://evil.example/\r\nBcc: all <script>"
    await record(begun, "member.invited", {"organisation": "outsider", "project": evil, "by": ""})
    (told,) = await inbox(begun, begun.admin("outsider"))
    assert told.facts == {"project": WITHHELD, "organisation": "outsider"}
    assert KINDS[told.kind].link(told.facts) == ""
    await begun.services.datasets.revoke(begun.owner("bank-a"), begun.ids["bank-a.grant"])
    (told,) = await inbox(begun, begun.owner("bank-b"))
    for secret in ("income", "credit-scoring", "customers", "age"):
        assert secret not in str(told.facts)


def test_only_ids_codes_and_numbers_are_facts() -> None:
    kind = KINDS["job_failed"]
    for bad in ("a b", "a\nb", "", "<x>", "é", "a" * 201, None, True, -1, 1 << 60, ["a"], 1.5):
        assert kind.checked({"job": bad})["job"] == WITHHELD
    for good in ("job_01", "spiffe://a.example/agent/x-1", "party_silent", 7):
        assert kind.checked({"job": good})["job"] == good
    assert kind.checked({"job": "j", "password": "x"}).keys() == {"job", "project", "code"}


def test_mail_needs_a_confirmed_address_and_a_kind_that_is_wanted() -> None:
    failed, approved = KINDS["job_failed"], KINDS["job_approved"]
    sure = Preferences("usr_1", email="a@b.example", confirmed=True)
    assert (sure.mails(failed), sure.mails(approved)) == (True, False)  # warnings, if not chosen
    chosen = replace(sure, mailed=("job_approved",))
    assert (chosen.mails(failed), chosen.mails(approved)) == (False, True)
    for other in (replace(sure, confirmed=False), replace(sure, email="")):
        assert not other.mails(failed)


async def test_disabled_people_are_not_told(begun: Stage) -> None:
    admin = begun.admin("outsider")
    async with begun.database.begin() as work:
        await work.users.save(replace(await work.users.get(admin.user), disabled=True))
        await work.commit()
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    assert await kinds(begun, admin) == []


async def test_a_silenced_kind_is_left_out_but_never_a_critical_one(begun: Stage) -> None:
    admin = begun.admin("outsider")
    await begun.services.notifications.prefer(
        admin, silenced=["project_invitation", "account_changed"]
    )
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    await record(begun, "user.updated", {"user": admin.user, "by": "usr_1"})
    assert await kinds(begun, admin) == ["account_changed"]


async def test_own_changes_of_the_account_are_no_news(begun: Stage) -> None:
    user = begun.admin("bank-a").user
    await record(begun, "user.updated", {"user": user, "by": user})
    assert await kinds(begun, begun.admin("bank-a")) == []


async def test_a_hold_is_told_once(begun: Stage) -> None:
    hold = Hold("size", begun.now[0], 3)
    begun.ledger.hold = hold
    for _ in range(2):
        begun.services.notices.notifying._held = ""
        assert await kinds(begun, begun.admin("bank-a")) == ["log_set_back"]
    assert await kinds(begun, begun.operator) == ["log_set_back"]
    assert await kinds(begun, begun.scientist("bank-a")) == []


async def test_an_inbox_is_bounded(begun: Stage) -> None:
    user = begun.admin("bank-a").user

    async def many(_: object) -> list[Occurrence]:
        whom = Audience(users=(user,))
        return [Occurrence(f"e/{n}", "job_failed", 1, {}, whom) for n in range(MOST_KEPT + 3)]

    await begun.services.notices.notifying.tell(many)
    assert await begun.services.notifications.unread(begun.admin("bank-a")) == MOST_KEPT


async def test_webhooks_and_mails_are_queued_with_the_notification(begun: Stage) -> None:
    notifying = begun.services.notices.notifying
    notifying._channels = frozenset({"webhook", "email"})
    admin = begun.admin("outsider")
    hook = Webhook("whk_1", "outsider", "https://a.example/", (), 1, admin.user, "sealed")
    async with begun.database.begin() as work:
        await work.webhooks.add(hook)
        await work.webhooks.add(replace(hook, id="whk_2", kinds=("job_failed",)))
        await work.webhooks.add(replace(hook, id="whk_3", organisation="bank-b"))
        await work.webhooks.add(replace(hook, id="whk_4", disabled=True))
        await work.preferences.add(Preferences(admin.user, email="a@b.example", confirmed=True))
        await work.preferences.add(
            Preferences(begun.owner("outsider").user, email="c@b.example", confirmed=False)
        )
        await work.commit()
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    await notifying.poll()
    async with begun.database.begin() as work:
        queued = (await work.deliveries.list()).items
    assert {(one.channel, one.target) for one in queued} == {
        ("webhook", "whk_1"), ("email", admin.user),
    }  # fmt: skip
    assert {str(one.facts) for one in queued} == {
        str({"project": begun.ids["project"], "organisation": "outsider"})
    }


async def test_a_receiver_has_only_so_much_waiting(begun: Stage) -> None:
    async with begun.database.begin() as work:
        await work.webhooks.add(
            Webhook("whk_1", "outsider", "https://a.example/", (), 1, "usr_1", "sealed")
        )
        for number in range(MOST_WAITING):
            await work.deliveries.add(
                Delivery(f"dlv_{number}", f"{number}", "webhook", "whk_1", "outsider",
                         "test", 1, {}, 1, 1)
            )  # fmt: skip
        await work.commit()
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    assert await kinds(begun, begun.admin("outsider")) == ["project_invitation"]
    async with begun.database.begin() as work:
        assert await work.deliveries.count() == MOST_WAITING


async def test_what_ends_soon_is_told_once(begun: Stage) -> None:
    scientist = begun.scientist("bank-b")
    issued = await begun.services.tokens.create(scientist, "nightly", 30 * DAY)
    short = await begun.services.tokens.create(scientist, "", 3600)
    expiring = begun.services.notices.expiring
    await expiring.poll()
    assert await kinds(begun, scientist) == []
    begun.now[0] = issued.token.expires - 2 * DAY
    for _ in range(2):
        expiring._next = 0
        await expiring.poll()
    (told,) = await inbox(begun, scientist)
    assert told.facts == {"token": issued.token.id, "days": 2}
    assert short.token.id != issued.token.id
    begun.now[0] = begun.now[0] + 335 * DAY - 4 * DAY  # the grants of the stage end
    await expiring.poll()
    assert "grant_expiring" in await kinds(begun, begun.owner("bank-a"))


async def test_a_link_that_is_missing_for_long_is_told_and_that_it_is_back(begun: Stage) -> None:
    outages = begun.services.notices.outages
    courier: Any = outages._courier
    status = courier.status
    connected = {"bank-a": False}
    courier.status = lambda party: replace(status(party), connected=connected.get(party, True))
    owner = begun.owner("bank-a")

    async def look(seconds: int) -> list[str]:
        begun.now[0] += seconds
        await outages.poll()
        return await kinds(begun, owner)

    assert await look(0) == []
    assert await look(14 * 60) == []
    outages._next = 0  # a restart remembers since when
    assert await look(60) == ["agent_down"]
    assert await look(120) == ["agent_down"]
    connected["bank-a"] = True
    assert await look(60) == ["agent_up", "agent_down"]
    assert await look(60) == ["agent_up", "agent_down"]
    assert await kinds(begun, begun.owner("bank-b")) == []


async def test_watchers_are_woken(begun: Stage) -> None:
    admin = begun.admin("outsider")
    events = begun.services.notifications.events(admin, None)
    coming = asyncio.ensure_future(anext(events))
    await begun.bus.joined.wait()
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    await begun.services.notices.notifying.poll()
    first = await coming
    assert first.kind == "project_invitation"
    await events.aclose()
    again = begun.services.notifications.events(admin, first.id - 1)
    assert (await anext(again)).id == first.id
    await again.aclose()


async def test_people_read_only_their_own(begun: Stage) -> None:
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    (told,) = await inbox(begun, begun.admin("outsider"))
    for other in (begun.operator, begun.person("outsider", Role.AUDITOR), begun.admin("bank-a")):
        with pytest.raises(Exception, match="notification"):
            await begun.services.notifications.read(other, told.id)
        assert await begun.services.notifications.read_all(other) == 0
    assert (await begun.services.notifications.read(begun.admin("outsider"), told.id)).read
    assert await begun.services.notifications.unread(begun.admin("outsider")) == 0


async def test_every_entry_of_the_table_is_recorded_somewhere_and_told_whole(begun: Stage) -> None:
    """A use case that calls its entry otherwise would be silent."""
    source = Path(secureflow.__file__).parent
    code = "".join(
        path.read_text()
        for part in ("application", "engines/run")
        for path in (source / part).rglob("*.py")
        if path.name != "occurrences.py"
    )
    job = await begun.services.jobs.submit(begun.scientist("bank-a"), begun.wanted())
    document = {
        "project": begun.ids["project"], "organisation": "bank-b", "by": "usr_1", "grant": "grt_1",
        "dataset": "dst_1", "agent": "spiffe://x.example/a", "digest": "ab", "version": 2,
        "members": ["bank-b"], "signed": ["bank-b"], "user": begun.admin("bank-b").user,
        "outcome": "failed", "error": "party_silent", "new_place": True, "method": "password",
        "session": "ses_1", "without_code": 2,
    }  # fmt: skip
    for kind in _BY_SERVER:
        assert f'"{kind}"' in code, kind
        await begun.services.notices.notifying.poll()
        told = await begun.services.notifications.unread(begun.admin("bank-b"))
        asked = await begun.services.notifications.unread(begun.scientist("bank-a"))
        more = {"job": job.id, "number": 1} if kind == "question.asked" else {}
        await record(begun, kind, document | more, job.id if kind.startswith("job.") else "")
        await begun.services.notices.notifying.poll()
        after = await begun.services.notifications.unread(begun.admin("bank-b"))
        now = await begun.services.notifications.unread(begun.scientist("bank-a"))
        assert (after, now) != (told, asked), kind
    for one in (await begun.services.notifications.list(begun.admin("bank-b"))).items:
        assert WITHHELD not in one.facts.values(), one


async def test_a_disabled_organisation_is_told_nothing(begun: Stage) -> None:
    begun.services.notices.notifying._channels = frozenset({"webhook"})
    async with begun.database.begin() as work:
        for key, whose in (("whk_1", "bank-b"), ("whk_2", "bank-a")):
            await work.webhooks.add(Webhook(key, whose, "https://h.example", (), 1, "usr_x", "s"))
        await work.commit()
    await begun.services.organisations.set_disabled(begun.operator, "bank-b", disabled=True)
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    await begun.services.projects.accept(begun.admin("outsider"), begun.ids["project"])
    assert await kinds(begun, begun.admin("bank-b")) == []
    assert "member_joined" in await kinds(begun, begun.owner("bank-a"))
    sent = {one.target for one in begun.database.tables.rows["deliveries"].values()}
    assert sent == {"whk_2"}


async def test_who_has_the_name_of_an_erased_submitter_is_not_told(begun: Stage) -> None:
    submitter = begun.scientist("bank-a")
    job = await begun.services.jobs.submit(submitter, begun.wanted())
    await begun.services.users.erase(begun.admin("bank-a"), submitter.user)
    others = []
    for organisation, later in (("outsider", 0), ("bank-a", 1)):
        other = begun.people[organisation, Role.AUDITOR]
        rows = begun.database.tables.rows["users"]
        rows[other.user] = replace(
            rows[other.user], name=submitter.name, created=job.created + later
        )
        others.append(other)
    await record(begun, "job.started", {}, job.id)
    await record(begun, "job.finished", {"outcome": "succeeded"}, job.id)
    for other in others:
        assert await kinds(begun, other) == []
    assert await kinds(begun, begun.owner("bank-a")) == ["job_succeeded", "job_proposed"]
