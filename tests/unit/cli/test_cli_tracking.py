"""`job watch` and `job wait` with `--log-to`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

JOB = {
    "id": "job_0000", "project": "prj_1", "organisation": "bank-a", "name": "income",
    "submitter": "sam", "kind": "training", "script": "t/1", "spec": {}, "digest": "0" * 64,
    "state": "succeeded", "created": 1, "updated": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _served(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRC32C_SW_MODE", "auto")  # tensorboardX sets it
    row = {"round": 1, "rounds": 1, "loss": 0.5}
    events = f"id: 1\nevent: round\ndata: {json.dumps(row)}\n\nid: 2\nevent: done\ndata: {{}}\n\n"
    centre.answers |= {
        "GET /jobs/job_0000": (200, JOB),
        "GET /jobs/job_0000/events": (200, events.encode()),
        "GET /jobs/job_0000/report?format=json": (200, {"rounds": 1, "metrics": {"loss": 0.25}}),
    }


@pytest.mark.parametrize("command", ["watch", "wait"])
def test_figures_are_logged_where_it_is_asked_for(cli: Any, tmp_path: Path, command: str) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    assert cli("job", command, "job_0000")[0] == 0
    assert not list(tmp_path.glob("*/job_0000"))
    code, _, err = cli("job", command, "job_0000", "--log-to", f"tensorboard:{tmp_path / 'r'}")
    assert code == 0, err
    (file,) = (tmp_path / "r" / "job_0000").iterdir()
    assert b"loss" in file.read_bytes()


def test_a_submitted_job_is_logged_where_it_is_followed(
    cli: Any, centre: Any, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    job, place = tmp_path / "job.yaml", f"tensorboard:{tmp_path / 'r'}"
    job.write_text("kind: rehearsal\nproject: prj_1\ndatasets: [dst_1]\n")
    centre.answers["POST /jobs"] = (201, JOB)
    code, _, err = cli("job", "submit", job, "--log-to", place)
    assert code == 2
    assert "--watch" in err
    for wrong in (("--log-to", "wandb"), ("--log-model",)):
        assert cli("job", "submit", job, "--watch", *wrong)[0] == 2
    assert not [key for key, _, _ in centre.asked if key.startswith("POST ")]
    code, _, err = cli("job", "submit", job, "--watch", "--log-to", place)
    assert code == 0, err
    assert list((tmp_path / "r" / "job_0000").iterdir())


def test_a_place_that_there_is_not_is_refused(cli: Any) -> None:
    code, _, err = cli("job", "watch", "job_0000", "--log-to", "wandb")
    assert code == 2
    assert "wandb" in err
    assert "tensorboard:FOLDER" in err
