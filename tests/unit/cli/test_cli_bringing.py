"""What a job file brings by a folder: sent by a submission, only told by a dry run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.sdk.bundlefiles import read_bundle

Cli = Callable[..., tuple[int, str, str]]
LOCK = f"numpy==2.1.0 --hash=sha256:{'ab' * 32}\n"
PROJECT, DATASET = "prj_01jf2k0000", "dst_01jf2k0000"
DRAFTED = {"digest": "d" * 64, "spec": {}}


@pytest.fixture(name="job")
def _job(cli: Cli, tmp_path: Path) -> Path:
    """Return a job that names a folder with code and a lock."""
    assert cli("bundle", "new", tmp_path / "churn")[0] == 0
    file = tmp_path / "job.yaml"
    asked = yaml.safe_load(file.read_text())
    asked |= {"project": PROJECT, "datasets": [DATASET]}
    asked["model"]["lock"] = "lock.txt"
    (tmp_path / "lock.txt").write_text(LOCK)
    file.write_text(yaml.safe_dump(asked))
    return file


def posted(centre: Any) -> list[str]:
    return [key for key, _, _ in centre.asked if not key.startswith("GET ")]


@pytest.mark.parametrize("words", [("submit", "--dry-run"), ("dry-run",)])
def test_a_dry_run_uploads_nothing(
    words: tuple[str, ...], centre: Any, cli: Cli, job: Path, tmp_path: Path
) -> None:
    code = read_bundle(tmp_path / "churn")
    checked: dict[str, Any] = {}

    def answer(key: str) -> tuple[int, Any]:
        checked["key"] = key
        return 200, DRAFTED

    centre.answers = _Any("POST /jobs/dry-run", answer)
    ended, out, err = cli("job", words[0], job, *words[1:])
    assert ended == 0, err
    assert len(posted(centre)) == 1, "a dry run sends the request and nothing else"
    asked = centre.asked[-1][2]
    assert asked["model"]["bundle"]["digest"] == code.digest
    told = re.fullmatch(r".*[?&]weights=([0-9a-f]{64})", checked["key"])
    assert told is not None
    assert f"bundle={code.digest}" in checked["key"]
    assert asked["initial"]["model"] == told[1]
    assert f"churn: {code.digest}" in err
    assert told[1] in err
    assert "d" * 64 in out


def test_a_dry_run_sends_what_a_submission_would(
    centre: Any, cli: Cli, job: Path, tmp_path: Path
) -> None:
    """The weights that an uploader computes are those that the dry run named."""
    centre.answers = _Any("POST /jobs/dry-run", lambda _: (200, DRAFTED))
    assert cli("job", "dry-run", job)[0] == 0
    dry = centre.asked[-1][2]
    code = read_bundle(tmp_path / "churn")
    start = dry["initial"]
    sent = {"project": PROJECT, "organisation": "a", "uploader": "u", "created": 1, "expires": 2}
    row = {"id": "p.d", "digest": code.digest, "name": "churn", "size": 1, "files": 3, "lines": 9}
    kept = {"id": "upl_1", "digest": start["model"], "layout": start["layout"], "size": 4}

    def answer(key: str) -> tuple[int, Any]:
        if key.startswith("POST /jobs/dry-run"):
            return 200, DRAFTED
        if key.startswith("POST /bundles"):
            return 201, sent | row
        return (201, sent | kept) if key.startswith("POST /models") else (400, {"code": "x"})

    centre.asked.clear()
    centre.answers = _Any("POST /", answer)
    cli("job", "submit", job)
    checked, bundle, weights, submitted = posted(centre)
    assert checked.startswith("POST /jobs/dry-run?")
    assert f"digest={code.digest}" in bundle
    assert f"digest={start['model']}" in weights
    assert submitted == "POST /jobs"
    assert centre.asked[-1][2] == dry


def test_a_job_that_is_refused_at_once_uploads_nothing(centre: Any, cli: Cli, job: Path) -> None:
    refused = {"code": "bounds_too_narrow", "message": "Narrow.", "hint": "", "details": {}}
    centre.answers = _Any("POST /jobs", lambda _: (409, refused))
    ended, _, err = cli("job", "submit", job)
    assert ended == 5
    assert "bounds_too_narrow" in err
    assert "uploaded" not in err
    assert [key.split("?")[0] for key in posted(centre)] == ["POST /jobs/dry-run"]


class _Any(dict[str, Any]):
    """Answers every address that begins so."""

    def __init__(self, begin: str, answer: Callable[[str], tuple[int, Any]]) -> None:
        super().__init__()
        self._begin, self._answer = begin, answer

    def get(self, key: str, default: Any = None) -> Any:
        return self._answer(key) if key.startswith(self._begin) else default


def test_it_says_in_chinese_what_would_be_uploaded(
    centre: Any, cli: Cli, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.answers = _Any("POST /jobs/dry-run", lambda _: (200, DRAFTED))
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    _, _, err = cli("job", "submit", job, "--dry-run")
    assert "提交时会上传代码包 churn" in err
    assert "提交时会上传起始权重" in err
