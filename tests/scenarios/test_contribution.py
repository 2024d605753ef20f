"""Contributions over real links: rows leave under a grant of their own, a score comes back."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.application.reports.page import render
from secureflow.cli.sections import show_sections
from secureflow.demo.platform import Platform
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from tests.survival.world import PLAN, await_end, own_entries, platform, training, verified

DAY = 86_400
SAYING = replace(PLAN, validation=0.2, self_report="rows_and_loss")
SCORED = replace(PLAN, validation=0.2, contribution=ContributionPlan(rows=20))


def granted(place: Platform, **validation: Any) -> None:
    """Make a grant at every owner's agent; with `rows`, they may leave."""
    for party, owner in place.parties.items():
        with place.client(party) as client:
            declared = client.datasets.get(owner.dataset_id)
        terms = {
            "dataset": declared.name, "project": place.project,
            "columns": [one.name for one in declared.columns], "expires": system_clock() + DAY,
        }  # fmt: skip
        api.grant_create(owner.config, terms | ({"validation": validation} if validation else {}))


def failure(place: Platform) -> SecureFlowError:
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place, SCORED))
        await_end(client, job.id)
        with pytest.raises(SecureFlowError) as caught:
            client.jobs.wait(job.id)
    return caught.value


@pytest.mark.full
def test_rows_leave_by_name_and_scores_come_back_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with platform(tmp_path / "p", mortal=False) as place:
        # A policy that permits everything lets no rows leave, nor does a grant that names none.
        assert "No grant of" in failure(place).message
        granted(place)
        assert "0 rows to leave" in failure(place).message
        granted(place, rows=20)
        told = failure(place)
        assert "SIMULATED" in told.message, told
        for owner in place.parties.values():
            for one in api.grant_list(owner.config):
                if one["state"] == "granted":
                    api.grant_revoke(owner.config, one["id"], "for the test")
        granted(place, rows=20, simulated=True)
        with place.client("bank-a") as client:
            job = client.jobs.submit(training(place, SCORED))
            ended = await_end(client, job.id)
            assert ended.state == "succeeded", ended.error
            report = client.jobs.report(job.id)
            bundle = client.jobs.bundle(job.id)
            told = client.jobs.submit(training(place, SAYING, protection="secagg"))
            ended = await_end(client, told.id)
            assert ended.state == "succeeded", ended.error
            said = client.jobs.report(told.id)
        assert verified(place, job.id)
        assert verified(place, told.id)
        entries = own_entries(bundle, job.id)
        charter = SignedCharter.from_json(json.loads(place.charter_file().read_text())).charter
    held_to_what_was_signed(bundle, report, charter)
    shown_in_both_languages(report, said, monkeypatch, capsys)
    signed = report["contribution"]
    document = signed["document"]
    assert set(document["scores"]) == set(place.parties)
    assert (document["scored"], document["rounds"], document["rows"]) == (True, [1, 2], 20)
    documents = [(one["leaf"]["leaf"]["kind"], one.get("document") or {}) for one in entries]
    keys = {told["release"] for kind, told in documents if kind == "attested"}
    assert any(verify(key, "contribution", document, signed["signature"]) for key in keys)
    (finished,) = [told for kind, told in documents if kind == "job.finished"]
    assert finished["contribution"] == signed
    # Committed to in a leaf of its own before the first round, and scored on just these rows.
    rows = [
        (place_, told) for place_, (kind, told) in enumerate(documents)
        if kind == "update" and told["stage"] == "validation"
    ]  # fmt: skip
    first = next(
        place_ for place_, (kind, told) in enumerate(documents)
        if kind == "update" and told["stage"] == "train"
    )  # fmt: skip
    assert all(place_ < first for place_, _ in rows)
    assert sorted(told["update"] for _, told in rows) == sorted(document["commitments"].values())
    assert any("worth" in one["title"] for one in report["sections"])


def held_to_what_was_signed(bundle: Any, report: Any, charter: Charter) -> None:
    """What the centre alters of the scores, in its outcome or its report, breaks the record."""
    assert verify_bundle(bundle, charter, report=report).ok
    altered = copy.deepcopy(report)
    altered["contribution"]["document"]["scores"]["bank-a"]["high"] += 1
    found = verify_bundle(bundle, charter, report=altered).failures
    assert found == ("the report tells other scores than the record",)
    for section in altered["sections"]:
        for row in section["rows"]:
            if row["label"] == "bank-a" and len(row["value"]) == 3:
                row["value"][0] = "9.0000"
    altered["contribution"] = report["contribution"]
    found = verify_bundle(bundle, charter, report=altered).failures
    assert found == ("the report shows other scores of bank-a than the record",)
    forged = copy.deepcopy(bundle)
    (outcome,) = (one for one in forged["entries"] if one["leaf"]["leaf"]["kind"] == "job.finished")
    outcome["document"]["contribution"]["document"]["scores"]["bank-a"]["high"] += 1
    failures = "\n".join(verify_bundle(forged, charter).failures)
    assert "no enclave that enough members of the roster vouch for signed the scores" in failures
    assert failures.count("ended the job with other scores than the centre's outcome") == 3


def shown_in_both_languages(
    report: Any, said: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = report["contribution"]["document"]["seed"]
    words = {
        "en": ("updates were worth", "95 % interval", "seconds that scoring took", "can be gamed"),
        "zh": ("各方更新的价值", "95 % 区间", "评分所用秒数", "可以造假"),
    }
    for language, texts in words.items():
        monkeypatch.setenv("SECUREFLOW_LANG", language)
        assert show_sections(report)
        assert show_sections(said)
        out = capsys.readouterr().out
        line = next(one for one in out.splitlines() if "bank-a" in one)
        assert re.search(r"-?\d\.\d{4}.*\[-?\d\.\d{4}, -?\d\.\d{4}\].*\d+\.\d\d %", line), line
        told = [one for one in out.splitlines() if "bank-a" in one][1]
        assert re.search(r"2/2\D+\d+\D+0\.\d{4}\D+0\.\d{4}", told), told
        assert all(text in out for text in (*texts, seed)), out
        page = render(report)
        assert all(text in page for text in (*texts[:3], seed))
