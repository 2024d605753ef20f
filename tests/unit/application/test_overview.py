"""The first page shows what waits for whom, and nothing of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application import overview
from secureflow.application.access import Principal
from secureflow.application.jobs.reachability import Absence
from secureflow.application.overview import Overview
from secureflow.application.ports.courier import PartyStatus
from secureflow.application.running.answering import note_answer
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.kit.errors import SecureFlowError
from tests.stage import Stage, two_worlds


@pytest.fixture
async def stage(tmp_path: Any) -> Stage:
    return await two_worlds(tmp_path)


async def asked(stage: Stage, key: str, *parties: str) -> None:
    async with stage.database.begin() as work:
        await work.outbox.put(key, 1, "consent", parties)
        await work.commit()


async def seen(stage: Stage, who: Principal) -> Overview:
    return await stage.services.overviews.of(who)


async def test_approvals_wait_where_nobody_has_answered(stage: Stage) -> None:
    key = stage.ids["job"]
    await asked(stage, key, "bank-a", "bank-b", "bank-c")
    await asked(stage, stage.ids["outsider.job"], "outsider")
    await note_answer(stage.services.begin, key, 1, "bank-a")
    found = (await seen(stage, stage.owner("bank-b"))).waiting.approvals
    assert [(one.organisation, one.mine) for one in found] == [("bank-b", True), ("bank-c", False)]
    assert {one.job.id for one in found} == {key}
    assert {(one.since, one.people) for one in found} == {(found[0].job.created, None)}
    assert found[0].expires > found[0].since
    everything = (await seen(stage, stage.operator)).waiting.approvals
    assert {one.organisation for one in everything} == {"bank-b", "bank-c", "outsider"}


async def test_an_answer_wakes_open_pages(stage: Stage) -> None:
    key = stage.ids["job"]
    await asked(stage, key, "bank-a", "bank-b")
    before = len(stage.database.tables.changes)
    await note_answer(stage.services.begin, key, 1, "bank-a")
    (change,) = stage.database.tables.changes[before:]
    assert (change.kind, change.about) == ("job", key)


async def test_a_job_says_who_has_approved_while_others_think(stage: Stage) -> None:
    key, who = stage.ids["job"], stage.owner("bank-b")

    async def approved() -> Any:
        return (await stage.services.jobs.get(who, key)).progress.get("approved")

    assert await approved() is None, "nobody is asked yet"
    parties = [
        str(one["party"]) for one in (await stage.services.jobs.get(who, key)).spec["roster"]
    ]
    await asked(stage, key, *parties)
    assert await approved() is None
    await note_answer(stage.services.begin, key, 1, parties[0])
    assert await approved() == [parties[0]]
    async with stage.database.begin() as work:
        await work.outbox.clear(key, 1)
        await work.commit()
    assert await approved() is None, "the job's events tell it from now on"


async def test_questions_wait_for_those_who_submitted(stage: Stage) -> None:
    key = stage.ids["job"]
    await stage.services.questions.ask("bank-b", key, "k1", "Why income?")
    (one,) = (await seen(stage, stage.scientist("bank-a"))).waiting.questions
    assert (one.job, one.organisation, one.question, one.mine) == (
        key, "bank-b", "Why income?", True,
    )  # fmt: skip
    assert not (await seen(stage, stage.person("bank-a", Role.AUDITOR))).waiting.questions[0].mine
    assert (await seen(stage, stage.scientist("bank-b"))).waiting.questions == []
    await stage.services.questions.answer(stage.scientist("bank-a"), key, "For the model.")
    assert (await seen(stage, stage.scientist("bank-a"))).waiting.questions == []


async def test_invitations_wait_for_administrators(stage: Stage) -> None:
    await stage.services.projects.invite(stage.admin("bank-a"), stage.ids["project"], "outsider")
    (one,) = (await seen(stage, stage.admin("outsider"))).waiting.invitations
    assert (one.project, one.by, one.mine) == (stage.ids["project"], "bank-a", True)
    assert not (await seen(stage, stage.owner("outsider"))).waiting.invitations[0].mine
    assert (await seen(stage, stage.admin("bank-b"))).waiting.invitations == []


async def test_a_charter_waits_for_those_who_have_not_signed(stage: Stage) -> None:
    assert (await seen(stage, stage.admin("bank-a"))).waiting.charter is None
    drafted = await stage.services.charters.propose(stage.operator)
    signature = stage.keys["bank-a"].sign("charter", drafted["charter"])
    await stage.services.charters.sign(
        stage.admin("bank-a"), "bank-a", drafted["digest"], signature
    )
    waiting = (await seen(stage, stage.admin("bank-b"))).waiting.charter
    assert waiting is not None
    assert (waiting.signed, waiting.mine, waiting.version) == (["bank-a"], True, 2)
    assert "bank-b" in waiting.missing
    mine = (await seen(stage, stage.admin("bank-a"))).waiting.charter
    assert mine is not None
    assert not mine.mine


async def test_what_failed_is_shown_with_its_cause_newest_first(stage: Stage) -> None:
    error = {"code": "party_silent", "message": "bank-b made no progress.", "hint": "Look."}
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    async with stage.database.begin() as work:
        for key in (stage.ids["job"], job.id):
            found = await work.jobs.get(key)  # type: ignore[attr-defined]
            await work.jobs.save(replace(found, state=JobState.FAILED, error=error))  # type: ignore[attr-defined]
        await work.commit()
    page = await seen(stage, stage.scientist("bank-c"))
    assert [one.id for one in page.failed] == [job.id, stage.ids["job"]]
    assert page.failed[0].error == error
    assert (page.running, page.more) == ([], False)
    assert (await seen(stage, stage.scientist("outsider"))).failed == []


async def test_who_of_an_unfinished_job_has_no_link_is_shown_with_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, courier = stage.ids["job"], stage.services.courier
    gone = {"bank-c": 70}
    monkeypatch.setattr(
        courier, "status", lambda one: PartyStatus(one, one not in gone, 0.0, gone=gone.get(one, 0))
    )
    assert (await seen(stage, stage.scientist("bank-a"))).absent == [], "nobody is asked, none runs"
    async with stage.database.begin() as work:
        for key in (job, stage.ids["outsider.job"]):
            found = await work.jobs.get(key)  # type: ignore[attr-defined]
            await work.jobs.save(replace(found, state=JobState.RUNNING))  # type: ignore[attr-defined]
        created = (await work.jobs.get(job)).created  # type: ignore[attr-defined]
        await work.commit()
    page = await seen(stage, stage.scientist("bank-a"))
    assert page.absent == [Absence(job, "bank-c", "", created)], "no longer than there is the job"
    gone["bank-c"] = created + 7
    page = await seen(stage, stage.scientist("bank-a"))
    assert page.absent == [Absence(job, "bank-c", "", created + 7)]
    others = (await seen(stage, stage.scientist("outsider"))).absent
    assert {one.job for one in others} == {stage.ids["outsider.job"]}
    monkeypatch.setattr(overview, "MOST_AWAY", 1)
    gone["bank-b"] = created
    page = await seen(stage, stage.scientist("bank-a"))
    assert [one.party for one in page.absent if one.job == job] == ["bank-b"]
    assert page.absent_more[job] == 1
    gone.clear()
    assert (await seen(stage, stage.scientist("bank-a"))).absent == []


async def test_only_operators_see_the_platform(stage: Stage) -> None:
    page = await seen(stage, stage.operator)
    assert page.platform is not None
    assert page.platform.size == len(stage.ledger.log)
    assert page.platform.missing == ["bank-a", "bank-b", "bank-c", "outsider"]
    assert (await seen(stage, stage.admin("bank-a"))).platform is None


async def test_the_figures_of_disks_are_measured_once_a_minute() -> None:
    from secureflow.server.room import Figures

    measured: list[int] = []
    now = [0.0]

    def measure() -> list[dict[str, Any]]:
        measured.append(1)
        return [{"part": "own record"}]

    storage = Figures(measure, lambda: now[0])
    assert await storage.now() == await storage.now() == [{"part": "own record"}]
    assert measured == [1]
    now[0] = 60.0
    await storage.now()
    assert measured == [1, 1]


async def test_limits_are_those_that_refuse(stage: Stage) -> None:
    found = await stage.services.limits.of(stage.admin("bank-a"))
    (own,) = found.organisations
    used = {one.name: (one.used, one.limit) for one in own.limits}
    assert own.organisation == "bank-a"
    assert used["quotas.jobs"] == (1, 100)
    assert used["quotas.projects"] == (1, 200)
    assert used["quotas.datasets"] == (1, 500)
    assert used["quotas.users"][0] == len(stage.people_of("bank-a"))
    everyone = await stage.services.limits.of(stage.operator)
    assert len(everyone.organisations) == 4
    assert [one.name for one in everyone.queue] == ["queue.running"]
    with pytest.raises(SecureFlowError) as caught:
        await stage.services.limits.of(stage.scientist("bank-a"))
    assert caught.value.code == "forbidden"
