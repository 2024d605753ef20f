"""Which statements about anchors a bundle carries: the head above the record, the job's deeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application import anchoredbundles
from secureflow.application.reports import page
from secureflow.application.reports.anchored import anchored_view
from secureflow.application.reports.page import environment
from secureflow.domain.jobs import Job
from secureflow.domain.users import Role
from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors.bundled import verify_anchored
from secureflow.engines.anchors.reading import anchored_head
from secureflow.engines.anchors.statements import Statement, sign_statement
from secureflow.engines.ledger.bundle import BundleVerdict
from secureflow.engines.ledger.notes import parse_note
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused
from tests.unit.application.test_audit import finished_job

PLACE, OTHER = "evm:1337:0x" + "ab" * 20, "evm:1337:0x" + "cd" * 20


async def anchor(stage: Stage, bank: str, entry: e.Entry, place: str = PLACE) -> None:
    """Let a bank tell the centre that it anchored something."""
    made = Statement(place, entry, "kept", "ab" * 32, 7, {"status": 1}, 1_800_000_000)
    await stage.services.anchors.take(bank, [sign_statement(made, stage.keys[bank]).json()])


async def head_of(stage: Stage, size: int) -> e.AnchorHead:
    return anchored_head(await stage.ledger.note(size), stage.ledger.public)


async def size_of(stage: Stage) -> int:
    return parse_note(await stage.ledger.head()).checkpoint.size


async def audited(stage: Stage, job: Job) -> BundleVerdict:
    auditor = stage.person("bank-b", Role.AUDITOR)
    bundle = await stage.services.audit.bundle(auditor, job.id, anchors=True)
    charter = await stage.services.charters.current()
    assert charter is not None
    return verify_anchored(bundle, charter.charter)


async def test_of_each_member_and_place_the_first_head_above_the_record(stage: Stage) -> None:
    job = await finished_job(stage)
    own = await size_of(stage)
    for name in ("one", "two", "three"):
        await stage.publish("bank-a", name)
    newest = await size_of(stage)
    for size in (own - 5, own - 3, own + 1, newest):
        await anchor(stage, "bank-a", await head_of(stage, size))
    for size in (own - 7, own - 2, own - 4):
        await anchor(stage, "bank-b", await head_of(stage, size))
    await anchor(stage, "bank-a", await head_of(stage, own), OTHER)
    found = await audited(stage, job)
    assert (found.status, found.failures) == ("verified", ())
    assert [(one.member, one.place, one.size, one.covers) for one in found.anchors] == [
        ("bank-a", PLACE, own + 1, "whole"),
        ("bank-a", OTHER, own, "whole"),
        ("bank-b", PLACE, own - 2, "part"),
    ]


async def test_the_deeds_of_this_job_alone(stage: Stage) -> None:
    job = await finished_job(stage)
    about, spec = e.job_digest(job.id), bytes.fromhex(job.digest)
    for bank in BANKS:
        await anchor(stage, bank, e.RegisterJob(about, spec))
        await anchor(stage, bank, e.ApproveJob(e.job_digest("job_other"), spec))
    await anchor(stage, "bank-a", e.Upgrade(b"\x01" * 32))
    found = await audited(stage, job)
    assert found.ok
    assert {(one.member, one.kind) for one in found.anchors} == {
        (bank, "registerJob") for bank in BANKS
    }


async def test_one_members_lie_breaks_no_bundle(stage: Stage) -> None:
    """What does not hold by itself stays away; the centre does not judge what others may doubt."""
    job = await finished_job(stage)
    honest = await head_of(stage, await size_of(stage))
    forged = replace(honest, signature=(b"\x01" * 32, b"\x02" * 32))
    await anchor(stage, "bank-a", forged)
    await anchor(stage, "bank-b", honest)
    keeper = "file:" + "ab" * 32
    await anchor(stage, "bank-c", e.ApproveJob(e.job_digest(job.id), b"\x01" * 32), keeper)
    found = await audited(stage, job)
    assert found.ok
    assert [one.member for one in found.anchors] == ["bank-b"]


async def test_two_specs_of_one_job_are_shown(stage: Stage) -> None:
    """That is no lie of a statement: a member was shown another spec, or says so."""
    job = await finished_job(stage)
    await anchor(stage, "bank-a", e.RegisterJob(e.job_digest(job.id), b"\x01" * 32))
    await anchor(stage, "outsider", e.RegisterJob(e.job_digest(job.id), b"\x02" * 32))
    found = await audited(stage, job)
    assert found.status == "broken"
    assert len(found.failures) == 1, "who is on no roster was shown none"
    assert "bank-a anchored the spec" in found.failures[0]


async def test_without_statements_a_bundle_is_as_before(stage: Stage) -> None:
    job = await finished_job(stage)
    audit = stage.services.audit
    assert "anchors" not in await audit.bundle(stage.operator, job.id, anchors=True)
    await anchor(stage, "bank-a", await head_of(stage, await size_of(stage)))
    assert "anchors" not in await audit.bundle(stage.operator, job.id)
    assert "anchors" in await audit.bundle(stage.operator, job.id, anchors=True)


async def test_the_part_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await finished_job(stage)
    own = await size_of(stage)
    for number in range(5):
        place = f"evm:{number}:0x" + "ab" * 20
        await anchor(stage, "bank-a", await head_of(stage, own), place)
    assert len((await audited(stage, job)).anchors) == 5
    monkeypatch.setattr(anchoredbundles, "MOST_BYTES", 2_500)
    assert 0 < len((await audited(stage, job)).anchors) < 4
    monkeypatch.undo()
    monkeypatch.setattr(anchoredbundles, "MAX_ANCHORS", 3)
    assert len((await audited(stage, job)).anchors) == 3
    monkeypatch.setattr(anchoredbundles, "MOST_READ", 2)
    monkeypatch.setattr(anchoredbundles, "_PAGE", 1)
    assert len((await audited(stage, job)).anchors) == 2


async def test_the_report_shows_what_members_anchored(stage: Stage) -> None:
    job = await finished_job(stage)
    own = await size_of(stage)
    await anchor(stage, "bank-a", await head_of(stage, own))
    await anchor(stage, "bank-a", e.RegisterJob(e.job_digest(job.id), bytes.fromhex(job.digest)))
    found = await stage.services.audit.anchored(stage.person("bank-b", Role.AUDITOR), job.id)
    view: Any = anchored_view(found)
    assert [(one["member"], one["place"]) for one in view] == [("bank-a", PLACE)]
    assert [(one["size"], one["covers"]) for one in view[0]["heads"]] == [(own, "whole")]
    assert view[0]["deeds"] == [{"kind": "registerJob", "count": 1, "checked": 0}]
    shown = {"job": job.id, "name": "n", "anchored": view}
    for lang, words in (("en", "the whole record stands"), ("zh", "整份记录都在此账本头之下")):
        text = page.render(shown, lang)  # type: ignore[arg-type]
        assert words in text
        assert PLACE in text, "a place is never cut"
        assert "ab" * 32 in text
    assert "Anchors" not in page.render({"job": job.id, "name": "n", "anchored": []})
    with refused("not_found"):
        await stage.services.audit.anchored(stage.person("outsider", Role.AUDITOR), job.id)


def test_a_page_says_of_deeds_whose_receipts_nobody_checked_that_they_are_not() -> None:
    deeds = [
        {"kind": "commitRound", "count": 40, "checked": 0},
        {"kind": "registerJob", "count": 2, "checked": 1},
    ]
    group = {"member": "bank-a", "place": "evm:1337:0x" + "ab" * 20, "heads": [], "deeds": deeds}
    page = environment().get_template("anchored.html.jinja").render(anchored=[group])
    rows = [row for row in page.split("<tr>") if " × " in row]
    assert "not checked" in rows[0]
    assert "receipt holds" not in rows[0]
    assert "40 / 40" in rows[0]
    assert "receipt holds" in rows[1]
    assert "1 / 2" in rows[1]
