"""Each example's job file is the same job whether the CLI submits it or a canvas sends its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.application.jobs.kind import Wanted
from secureflow.application.reports.explanation import render
from secureflow.cli import starts
from secureflow.demo.data import adult_categories
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kinds import SPEC_KINDS
from tests.stage import BANKS, YEAR, Stage

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
CODE = "ab" * 32


def number(name: str, low: float = 0, high: float = 1e6) -> dict[str, Any]:
    return {"name": name, "type": "number", "bounds": [low, high]}


def category(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "type": "category", "categories": list(values)}


ADULT = [
    number("age", 0, 120), number("hours-per-week", 0, 168), number("education-num", 0, 20),
    *(category(one, *adult_categories()[one])
      for one in ("income", "sex", "education", "marital-status")),
]  # fmt: skip
WARDS = [number("age", 0, 110), number("pulse", 30, 220), category("sex", "f", "m"),
         category("ward", "cardiology", "oncology", "surgery")]  # fmt: skip
OVERLAP = [{"name": "phone", "type": "text"}, number("debt", 0, 1e6)]
CREDIT = [number("age", 0, 120), category("job", "clerk", "farmer"),
          category("default", "no", "yes")]  # fmt: skip
DEBTS = [number("age", 0, 120), number("income"), category("sex", "f", "m"),
         category("default", "no", "yes")]  # fmt: skip
MATCHED = [{"name": "mobile", "type": "text"}, {"name": "msisdn", "type": "text"}]
FIGURES = [number(one, -1e6) for one in ("turnover", "bid", "income", "weight", "age", "spent",
                                         "visits", "balance", "minutes")]  # fmt: skip
COLUMNS = {
    "job": ADULT, "pipeline": CREDIT, "overlap": OVERLAP, "statistics": ADULT, "sums": ADULT,
    "network": WARDS, "clusters": WARDS,
    "psi": MATCHED, "ranking": FIGURES, "sealed-bid": FIGURES, "correlation": FIGURES,
    "logistic": FIGURES, "auction": FIGURES, "trees": DEBTS, "private-trees": DEBTS,
}  # fmt: skip
"""What the owners declare for each example; a new one says here what it needs."""


def on_stage(file: Path, stage: Stage) -> dict[str, Any]:
    """Return a job file with the stage's project, organisations and datasets."""
    text = file.read_text()
    for at, party in enumerate(("bank:", "telco:")):
        text = text.replace(f"  {party} {{", f"  {BANKS[at]}: {{")
    asked: dict[str, Any] = yaml.safe_load(text.replace("learns: bank ", f"learns: {BANKS[0]} "))
    count = len(asked.get("datasets", BANKS))
    asked |= {"project": stage.ids["project"], "purpose": "credit-scoring"}
    asked["datasets"] = [stage.ids[f"{bank}.dataset"] for bank in BANKS[:count]]
    if "folder" in asked.get("program", {}):  # what an upload of the folder makes of it
        program = asked["program"]
        program["bundle"] = {"digest": CODE, "entry": program.pop("entry")}
        del program["folder"]
    return asked


async def declare(stage: Stage, columns: list[dict[str, Any]]) -> None:
    for bank in BANKS:
        body = {"name": "customers", "title": "Customers", "rows": "10k-50k",
                "commitment": "ab" * 32, "columns": columns,
                "privacy": {"unit": "record", "rows_per_person": 1}}  # fmt: skip
        made = await stage.services.datasets.publish(bank, body)
        assert made.id == stage.ids[f"{bank}.dataset"]
        await stage.services.datasets.grant(
            stage.owner(bank), made.id, project=stage.ids["project"],
            columns=[one["name"] for one in columns], purposes=["credit-scoring"],
            expires=stage.now[0] + YEAR,
        )  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda one: one.stem)
async def test_a_canvas_shows_the_digest_that_a_submission_gets(
    stage: Stage, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(stage, COLUMNS[file.stem])
    asked, scientist = on_stage(file, stage), stage.scientist("bank-a")
    copy = tmp_path / file.name
    copy.write_text(yaml.safe_dump(asked))
    monkeypatch.setattr(starts, "named", lambda connection, noun, one: one)
    monkeypatch.setattr(starts, "named_all", lambda connection, noun, each: each)
    request = starts.requested(None, copy)  # type: ignore[arg-type]
    wanted = Wanted.of(parse(SPEC_KINDS[request["kind"]].request, request))
    if "bundle" in asked.get("program", {}):
        told = await stage.services.jobs.dry_run(
            scientist, replace(wanted, coming=frozenset({CODE}))
        )
        submitted = told.digest
    else:
        job = await stage.services.jobs.submit(scientist, wanted)
        submitted = job.digest
        explained = render(await stage.services.jobs.explain(scientist, job.id), "zh")
        assert f"<dd>{job.id}</dd>" in explained, "each kind's explanation makes a page"
    drawn = json.loads(json.dumps(asked))
    found = await stage.services.drafts.check(scientist, drawn)
    if "bundle" in asked.get("program", {}):
        assert [one.code for one in found.problems] == ["not_found"]
        return
    assert found.problems == ()
    assert found.digest == submitted
    changed = await stage.services.drafts.check(scientist, {**drawn, "name": "another"})
    assert changed.digest not in ("", submitted)
