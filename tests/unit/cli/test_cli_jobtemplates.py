"""`secureflow template` and `secureflow job diff` against a scripted server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.domain.jobtemplates import TEMPLATES
from secureflow.domain.specs.base import dump

PROJECT = "prj_00000000"
DATASETS = ["dst_00000001", "dst_00000002"]
REQUEST: dict[str, Any] = {
    "kind": "pipeline", "project": PROJECT, "name": "joint-risk-model", "purpose": "credit",
    "datasets": DATASETS,
    "steps": [{"id": "prepare", "kind": "preparation", "columns": ["age"]},
              {"id": "train", "kind": "training", "features": {"recipe": {"step": "prepare"}}}],
}  # fmt: skip
COMMENTS = {
    "": TEMPLATES["joint-risk-model"].sentence,
    "datasets": "One of each organisation that contributes rows.",
    "steps.train": "not\nours: \x1b[31mred",
}


@pytest.fixture(autouse=True)
def _templates(centre: Any) -> None:
    centre.answers["GET /job-templates"] = (200, [dump(one) for one in TEMPLATES.values()])
    centre.answers["GET /job-templates/market-overlap"] = (200, dump(TEMPLATES["market-overlap"]))
    filled = {"request": REQUEST, "comments": COMMENTS}
    centre.answers["POST /job-templates/joint-risk-model/fill"] = (200, filled)
    centre.answers[f"GET /projects/{PROJECT}"] = (200, {"id": PROJECT, "name": "p"})


def test_templates_are_listed_and_shown(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = cli("template", "list")
    assert (code, err) == (0, "")
    assert set(TEMPLATES) <= set(out.split())
    code, out, _ = cli("template", "show", "market-overlap")
    assert "Market overlap" in out
    assert "keys" in out
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert "市场重合度" in cli("template", "show", "market-overlap")[1]


@pytest.mark.parametrize(("language", "said"), [("en", "One of each"), ("zh", "每个贡献数据行")])
def test_a_job_file_is_written_with_comments_in_the_readers_language(
    cli: Any, centre: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    file = tmp_path / "job.yaml"
    code, _, err = cli(
        "template", "new", "joint-risk-model", "--project", PROJECT,
        *(part for one in DATASETS for part in ("--dataset", one)),
        "--label", "income", "--key", "bank-a=id", "-o", str(file),
    )  # fmt: skip
    assert code == 0, err
    text = file.read_text()
    assert yaml.safe_load(text) == REQUEST
    assert f"# {said}" in text
    assert "\x1b" not in text
    assert "  # not ours: \\x1b[31mred\n" in text
    key, _, body = centre.asked[-1]
    assert key == "POST /job-templates/joint-risk-model/fill"
    sent = body if isinstance(body, dict) else json.loads(body)
    assert (sent["datasets"], sent["label"], sent["keys"]) == (DATASETS, "income", {"bank-a": "id"})


def test_a_key_without_a_column_is_refused(cli: Any) -> None:
    code, _, err = cli("template", "new", "joint-risk-model", "--project", PROJECT, "--key", "id")
    assert code == 2
    assert "ORGANISATION=COLUMN" in err


def test_two_job_files_are_compared_field_by_field(cli: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(yaml.safe_dump({**REQUEST, "kind": "training", "plan": {"rounds": 20}}))
    second.write_text(yaml.safe_dump({**REQUEST, "kind": "training", "plan": {"rounds": 40}}))
    code, out, _ = cli("job", "diff", str(first), str(second))
    assert (code, out) == (0, "plan.rounds was 20, and is 40\n")
    told = json.loads(cli("job", "diff", str(first), str(second), "-o", "json")[1])
    assert told == [{"field": "plan.rounds", "change": "changed", "before": 20, "after": 40}]
    code, out, err = cli("job", "diff", str(first), str(first))
    assert (code, out, "do not differ" in err) == (0, "", True)


def test_a_job_is_compared_with_the_spec_of_a_file(cli: Any, centre: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump({**REQUEST, "kind": "training"}))
    spec = {"kind": "training", "name": "n", "plan": {"rounds": 20}}
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "ab" * 32, "spec": spec})
    job = {"id": "job_00000001", "project": PROJECT, "organisation": "a", "name": "n",
           "submitter": "s", "kind": "training", "script": "training/2", "digest": "ab" * 32,
           "spec": spec | {"name": "m"}, "state": "proposed", "created": 1,
           "updated": 1}  # fmt: skip
    centre.answers["GET /jobs/job_00000001"] = (200, job)
    code, out, err = cli("job", "diff", "job_00000001", str(file))
    assert (code, out) == (0, "name was m, and is n\n"), err
