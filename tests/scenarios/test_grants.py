"""Grants over real links: one made at an agent is seen at the centre, and its end ends the job."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.agent import api
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from tests.survival.world import PLAN, await_end, own_entries, platform, training, verified

DAY = 86_400
PATIENCE = 30.0


def test_a_grant_of_an_agent_is_seen_decides_and_ends_the_job(tmp_path: Path) -> None:
    with platform(tmp_path / "p", mortal=False) as place:
        owner = place.parties["bank-b"]
        with place.client("bank-b") as client:
            declared = client.datasets.get(owner.dataset_id)
        terms = {
            "dataset": declared.name, "project": place.project, "uses": 1,
            "columns": [one.name for one in declared.columns], "expires": system_clock() + DAY,
        }  # fmt: skip
        made = api.grant_create(owner.config, terms)
        proposed = [one for one in api.grant_list(owner.config) if one["state"] == "proposed"]
        assert all(one["id"] != made["id"] for one in proposed)
        with place.client("bank-b") as client:
            began = time.monotonic()
            while made["id"] not in {one.local for one in client.grants.list()}:
                assert time.monotonic() - began < PATIENCE
                time.sleep(0.1)
        with place.client("bank-a") as client:
            job = client.jobs.submit(training(place, replace(PLAN, rounds=500)))
            for event in client.jobs.watch(job.id):
                if event.kind == "round":
                    break
            revoked = api.grant_revoke(owner.config, made["id"], "the study is over")
            ended = await_end(client, job.id)
            with pytest.raises(SecureFlowError) as told:
                client.jobs.wait(job.id)
            bundle = client.jobs.bundle(job.id)
        (stopped,) = revoked["stopped"]
        assert (stopped["job"], ended.state) == (job.id, "failed")
        assert told.value.code == "grant_revoked"
        assert "bank-b" in told.value.message
        assert "revoked the grant" in told.value.message
        kinds = [
            entry["leaf"]["leaf"]["kind"] for entry in own_entries(bundle, job.id)
            if entry["leaf"]["leaf"]["author"] == "bank-b"
        ]  # fmt: skip
        assert kinds[-2:] == ["revoked", "finished"]
        assert verified(place, job.id)
        usage = api.data_usage(owner.config)
        (use,) = usage["uses"]
        assert (use["outcome"], use["grant"]) == ("grant_revoked", made["id"])
