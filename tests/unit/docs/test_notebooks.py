"""The page of notebooks: its Python runs, and stands alike in both languages."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import httpx
import pytest
from unit.engines.training.family_world import spec, table

from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.sdk import Client

ROOT = Path(__file__).resolve().parents[3]
JOB = {
    "id": "job_0000", "project": "prj_1", "organisation": "bank-a", "name": "income",
    "submitter": "sam", "kind": "training", "script": "t/1", "digest": "0" * 64,
    "state": "succeeded", "created": 1, "updated": 2,
    "spec": {"roster": [{"party": "bank-a", "dataset": "rows"}]},
}  # fmt: skip


def blocks(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text()
    return re.findall(r"^```(?:python)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def centre() -> httpx.MockTransport:
    job = spec("logistic_regression", "binary")
    state = initial_parameters(job)
    card = model_card(job, state, moments=None, metrics={"auc": 0.5}, created=1)
    model = {
        "id": "mdl_1", "project": "prj_1", "job": "job_0000", "name": "income", "version": 1,
        "digest": card["digest"], "artifact": "", "family": "logistic_regression", "metrics": {},
        "created": 1,
    }  # fmt: skip
    report = {"rounds": 1, "metrics": {"auc": 0.5}, "model": {"id": "mdl_1"},
              "history": [{"round": 1, "auc": 0.5, "seconds": 1.0}]}  # fmt: skip
    row = json.dumps({"round": 1, "rounds": 1, "auc": 0.5})
    events = f"id: 1\nevent: round\ndata: {row}\n\nid: 2\nevent: done\ndata: {{}}\n\n"
    summary = {name: one for name, one in JOB.items() if name not in {"script", "spec"}}
    answers: dict[str, Any] = {
        "/jobs": {"items": [summary], "next": ""},
        "/jobs/job_0000": JOB,
        "/jobs/job_0000/report": report,
        "/models": {"items": [{**model, "id": "mdl_2"}, model], "next": ""},
        "/models/mdl_1": model,
        "/models/mdl_1/card": {**card, "id": "mdl_1", "version": 1, "job": "job_0000"},
        "/models/mdl_2/card": {**card, "id": "mdl_2", "version": 2, "job": "job_0000"},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if path.endswith("/events"):
            return httpx.Response(200, text=events)
        if path.endswith("/content"):
            return httpx.Response(200, content=ModelFile(card, state).to_bytes())
        return httpx.Response(200, json=answers[path])

    return httpx.MockTransport(answer)


def test_what_the_page_shows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRC32C_SW_MODE", "auto")  # tensorboardX sets it
    for needed in ("pandas", "sklearn", "tensorboardX"):
        pytest.importorskip(needed, reason="needs the extras pandas, sklearn and tensorboard")
    import pandas

    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame({name: table(5)[name] for name in ("x0", "x1", "word")})
    client = Client("https://centre.example", "sft_x", transport=centre())
    names: dict[str, Any] = {"client": client, "frame": frame.assign(customer=range(5))}
    run = [one for one in blocks("notebooks.md") if not one.startswith("secureflow ")]
    assert len(run) == 6
    for code in run[1:]:  # the first one logs in
        exec(compile(code, "notebooks.md", "exec"), names)
    assert names["jobs"].to_pandas()["name"].tolist() == ["income"]
    assert names["comparison"].comparable
    assert (tmp_path / "runs" / "job_0000" / "model.safetensors").is_file()


def test_the_file_of_cells_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRC32C_SW_MODE", "auto")
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    for needed in ("pandas", "sklearn", "tensorboardX"):
        pytest.importorskip(needed, reason="needs the extras pandas, sklearn and tensorboard")
    import pandas

    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame({name: table(5)[name] for name in ("x0", "x1", "word")})
    frame.assign(customer=["007", "b", "c", "d", "e"]).to_parquet("rows.parquet")
    client = Client("https://centre.example", "sft_x", transport=centre())
    monkeypatch.setattr(Client, "from_profile", lambda: client)
    monkeypatch.setattr("sys.argv", ["notebook.py", "job_0000", "rows.parquet", "customer"])
    runpy.run_path(str(ROOT / "examples" / "notebook.py"))
    assert pandas.read_parquet("scored.parquet")["customer"][0] == "007"
    assert "one job measured all of them" in capsys.readouterr().out


def test_the_pages_of_notebooks_are_in_step() -> None:
    pages = [(ROOT / "docs" / f"notebooks{end}.md").read_text() for end in ("", "-zh")]
    assert blocks("notebooks.md") == blocks("notebooks-zh.md")
    for part in ("\n## ", "\n- ", "\n| "):
        assert pages[0].count(part) == pages[1].count(part), part
    for pattern in (r"(?<![\w-])--[a-z-]+", r"`(?:secureflow|MLFLOW_|plan)[.A-Z_a-z]+"):
        assert set(re.findall(pattern, pages[0])) == set(re.findall(pattern, pages[1])), pattern
