"""What happened in a project, and what its parties received, as the ledger has it."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application import projectrecord
from secureflow.application.running.recording import server_leaf
from tests.stage import NOW, ORIGIN, Stage, known_key
from tests.unit.application.refusing import refused


def leaf(on: Stage, seq: int, kind: str, **document: Any) -> Any:
    key, job = known_key("log"), on.ids["job"]
    return server_leaf(kind, document, ORIGIN, key, NOW, job=job, spec="", seq=seq, position=0)


async def test_activity_is_newest_first_and_of_this_project_alone(stage: Stage) -> None:
    use, key, ana = stage.services.project_record, stage.ids["project"], stage.scientist("bank-a")
    await stage.services.project_states.freeze(stage.admin("bank-a"), key, "a review")
    await stage.submit_leaves([leaf(stage, 0, "approval", body={"party": "bank-a"})])
    await stage.submit_leaves([leaf(stage, 1, "job.finished", outcome="cancelled")])
    await stage.submit_leaves([leaf(stage, 2, "round.closed", round=1)])
    page = await use.activity(ana, key)
    kinds = [one.kind for one in page.items]
    assert kinds[:4] == ["job.finished", "approval", "project.frozen", "job.proposed"]
    assert kinds[-1] == "project.created"
    assert kinds.count("grant.created") == 3
    assert page.next == 0
    frozen = page.items[2]
    assert (frozen.by, frozen.name) == (stage.admin("bank-a").user, stage.admin("bank-a").name)
    (commitment,) = {frozen.facts.pop("reason_commitment")}
    assert frozen.facts == {"reason": "a review"}
    await stage.services.project_states.thaw(stage.admin("bank-a"), key)
    page = await use.activity(ana, key, kind="project.frozen")
    assert [one.facts for one in page.items] == [{"reason_commitment": commitment}]
    assert all(one.organisation != "outsider" for one in page.items)


async def test_activity_is_filtered(stage: Stage) -> None:
    use, key, ana = stage.services.project_record, stage.ids["project"], stage.scientist("bank-a")
    page = await use.activity(ana, key, kind="member", organisation="bank-b")
    assert [one.kind for one in page.items] == ["member.joined", "member.invited"]
    page = await use.activity(ana, key, user=ana.user)
    assert {one.by for one in page.items} == {ana.user}
    assert {one.kind for one in page.items} == {"job.proposed", "project.created"}


async def test_pages_of_activity_have_everything_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projectrecord, "WINDOW", 3)
    monkeypatch.setattr(projectrecord, "WINDOWS", 2)
    use, key, ana = stage.services.project_record, stage.ids["project"], stage.scientist("bank-a")
    found: list[int] = []
    before, pages = 0, 0
    while pages == 0 or before:
        page = await use.activity(ana, key, before=before, limit=2)
        assert len(page.items) <= 2
        found += [one.index for one in page.items]
        before, pages = page.next, pages + 1
        assert pages < 60
    monkeypatch.undo()
    whole = await use.activity(ana, key, limit=1000)
    assert found == [one.index for one in whole.items]


async def test_only_who_sees_the_work_sees_the_record(stage: Stage) -> None:
    use, key = stage.services.project_record, stage.ids["project"]
    await stage.services.projects.invite(stage.admin("bank-a"), key, "outsider")
    for call in (use.activity, use.received):
        with refused("not_found"):
            await call(stage.admin("outsider"), key)  # invited: the project, not its work
    await stage.services.project_states.change(stage.scientist("bank-a"), key, restricted=True)
    with refused("not_found"):
        await use.activity(stage.scientist("bank-b"), key)


async def test_what_parties_received_is_by_party_and_job(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projectrecord, "WINDOW", 2)
    await stage.submit_leaves(
        [
            leaf(stage, 0, "round.closed", round=1, stage="means"),
            leaf(stage, 1, "round.closed", round=1, stage="train"),
            leaf(stage, 2, "round.closed", round=2, stage="train"),
            leaf(
                stage, 3, "results.delivered", to="bank-a", parties=["bank-a", "bank-b"], stage=""
            ),
            leaf(stage, 4, "results.kept", parties=["bank-c"], stage="predict"),
        ]
    )
    use, key = stage.services.project_record, stage.ids["project"]
    page = await use.received(stage.scientist("bank-b"), key)
    told = {one.party: one for one in page.items}
    assert told.keys() == {"bank-a", "bank-b", "bank-c"}
    assert {one.rounds for one in page.items} == {2}
    assert {one.models for one in page.items} == {(stage.ids["model"],)}
    assert (told["bank-a"].handed_over, told["bank-b"].handed_over) == (("bank-b",), ())
    assert (told["bank-c"].results, told["bank-a"].results) == (("predict",), ())
    assert page.unknown
    only = await use.received(stage.scientist("bank-b"), key, party="bank-c")
    assert [one.party for one in only.items] == ["bank-c"]
