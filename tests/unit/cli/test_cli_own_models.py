"""`secureflow agent model`: an owner lists, shows, exports and removes models of its own."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api

JOB = "job_11111111"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent tells of a job, with its file."""
    path = tmp_path / f"{JOB}.safetensors"
    path.write_bytes(b"a model")
    told: dict[str, Any] = {
        "job": JOB, "name": "scores", "purpose": "p", "family": "mlp", "digest": "ab" * 32,
        "metrics": {"rows": 4.0, "loss": 0.25}, "shared_metrics": {"rows": 4.0, "loss": 0.5},
        "shared_model": "cd" * 32, "gained": True, "at": 1_800_000_000, "bytes": 7,
        "state": "kept", "path": str(path),
    }  # fmt: skip
    monkeypatch.setattr(api, "model_list", lambda config: [told])
    monkeypatch.setattr(api, "model_show", lambda config, job: told)
    return told


def test_an_owner_sees_its_own_gain(cli: Any, kept: dict[str, Any]) -> None:
    status, out, _ = cli("agent", "model", "list")
    assert status == 0
    assert all(one in out for one in (JOB, "mlp", "yes"))
    status, out, _ = cli("agent", "model", "show", JOB)
    assert status == 0
    assert all(one in out for one in ("ab" * 32, "0.25", "0.5", kept["path"].rsplit("/", 1)[-1]))


def test_a_model_is_written_for_its_owner_alone(
    cli: Any, kept: dict[str, Any], tmp_path: Path
) -> None:
    target = tmp_path / "mine.safetensors"
    status, _, err = cli("agent", "model", "export", JOB, str(target))
    assert status == 0
    assert "model predict" in err
    assert target.read_bytes() == b"a model"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "already_exists" in cli("agent", "model", "export", JOB, str(target))[2]
    assert cli("agent", "model", "export", JOB, str(target), "--force")[0] == 0
    kept["state"] = "altered"
    other = tmp_path / "other.safetensors"
    status, _, err = cli("agent", "model", "export", JOB, str(other))
    assert status != 0
    assert "not as this agent wrote it" in err
    assert not other.exists()


def test_a_model_is_removed_after_a_question(
    cli: Any, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []

    def remove(config: Path, job: str) -> dict[str, Any]:
        removed.append(job)
        return {"job": job}

    monkeypatch.setattr(api, "model_remove", remove)
    status, _, err = cli("agent", "model", "remove", JOB, "--yes")
    assert status == 0
    assert removed == [JOB]
    assert "is removed" in err


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_simulation_tells_who_gained_as_a_number(cli: Any, tmp_path: Path, form: str) -> None:
    job = {
        "features": {
            "numeric": [{"column": "x", "bounds": [-3, 3]}],
            "label": {"column": "y", "positive": "1"},
        },
        "plan": {"rounds": 1, "validation": 0.3, "strategy": {"name": "finetune", "epochs": 9}},
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    rows = "".join(f"{n % 40 / 20 - 1},{int(n % 40 > 20)}\n" for n in range(200))
    (tmp_path / "rows.csv").write_text(f"x,y\n{rows}")
    place = ("--data", str(tmp_path / "rows.csv"), "--parties", "3", "--output", form)
    status, out, err = cli("simulate", str(tmp_path / "job.json"), *place)
    assert status == 0, err
    assert "the own models  loss" in err
    assert "Of 3 parties 3 gained by them, and 0 lost." in err
    if form == "json":
        (told,) = json.loads(out)
        assert told["own_models"]["gained"] == told["own_models"]["parties"] == 3
        assert told["own_models"]["metrics"]["loss"] < told["metrics"]["loss"]
