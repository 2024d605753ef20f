"""Contributions over real links: rows leave under a grant of their own, a score comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from tests.survival.world import PLAN, await_end, own_entries, platform, training, verified

DAY = 86_400
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
def test_rows_leave_by_name_and_scores_come_back_signed(tmp_path: Path) -> None:
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
        assert verified(place, job.id)
        entries = own_entries(bundle, job.id)
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
