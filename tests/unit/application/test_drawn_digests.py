"""Whatever a job file asks for can be drawn in the console, and is then the same job by its digest.

The canvas itself (`web/src/console/canvas`) draws every file anew in Node: each step from the
palette, each setting in its form, each edge by itself; then it writes the file again.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from peers.canvases import redraw
from peers.verifiers import demand_node

from secureflow.application.components.catalogue import catalogue
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kinds import SPEC_KINDS
from tests.stage import FEATURES, Stage
from tests.unit.application.test_example_digests import (
    COLUMNS,
    EXAMPLES,
    category,
    declare,
    number,
    on_stage,
)

HEAD = {"project": "credit", "name": "figures", "purpose": "credit-scoring",
        "datasets": ["customers-a", "customers-b", "customers-c"]}  # fmt: skip
RISK = [number("age", 0, 120), category("job", "clerk", "farmer"),
        category("income", "low", "high"), category("default", "yes", "no")]  # fmt: skip
DECLARED = {**COLUMNS, "pipeline": RISK}
PRIVACY = {"epsilon": 0.5, "delta": 1e-6, "noise": "shared"}
QUERIES = [
    {"name": "rows", "measure": "count"},
    {"name": "ages", "measure": "mean", "column": "age"},
]
ALONE: dict[str, dict[str, Any]] = {
    "preparation": {
        "columns": ["age", "job"],
        "steps": [
            {"step": "impute", "columns": ["age"], "by": "median", "indicator": True},
            {"step": "one_hot", "columns": ["job"]},
        ],
    },
    "sweep": {
        "features": FEATURES,
        "model": {"family": "mlp", "hidden": [16]},
        "plan": {"rounds": 10, "validation": 0.2},
        "protection": "secagg",
        "sweep": {"grid": {"plan.learning_rate": [0.03, 0.1], "model.hidden": [[16], [32, 16]]},
                  "metric": "auc"},
    },
    "timetable": {
        "run": {"kind": "statistics", "queries": QUERIES, "privacy": PRIVACY},
        "timetable": {"every": 86_400, "runs": 30, "window": 3600},
    },
}  # fmt: skip
"""Kinds without an example file that need nothing but datasets."""
OF_MODELS: dict[str, dict[str, Any]] = {
    "evaluation": {
        "models": ["mdl_0000000001", "mdl_0000000002"],
        "held_out": {"share": 0.2},
        "per_party": True,
        "costs": {"false_positive": 1, "false_negative": 5},
        "privacy": {"epsilon": 1.0, "delta": 1e-6},
    },
    "prediction": {"model": "mdl_0000000001", "columns": ["age"], "outputs": ["predicted"],
                   "deliver": {"to": "bank-b"}},
}  # fmt: skip
"""Kinds that need models: their requests are compared."""
FILES = {
    **{one.stem: one.read_text() for one in EXAMPLES},
    **{name: yaml.safe_dump({"kind": name, **HEAD, **parts})
       for name, parts in (ALONE | OF_MODELS).items()},
}  # fmt: skip
UPLOADED = {"auction"}
"""Files whose program is a folder beside them, which the command line uploads."""


def uploaded(text: str) -> str:
    """Return a job file as it is once its folder is uploaded."""
    asked = yaml.safe_load(text)
    program = asked["program"]
    del program["folder"]
    program["bundle"] = {"digest": "ab" * 32, "entry": program.pop("entry")}
    return yaml.safe_dump(asked)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    demand_node()
    files = {name: uploaded(text) if name in UPLOADED else text for name, text in FILES.items()}
    return redraw(tmp_path_factory.mktemp("canvas"), catalogue(JOB_KINDS.engines), files)


def test_every_kind_is_drawn(drawn: dict[str, Any]) -> None:
    assert {yaml.safe_load(text)["kind"] for text in FILES.values()} == set(SPEC_KINDS)
    assert {name: one["error"] for name, one in drawn.items() if "error" in one} == {}


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_lost_on_the_way(drawn: dict[str, Any], name: str) -> None:
    asked = yaml.safe_load(uploaded(FILES[name]) if name in UPLOADED else FILES[name])
    assert drawn[name]["drawn"] == asked
    assert yaml.safe_load(drawn[name]["file"]) == asked
    request = SPEC_KINDS[asked["kind"]].request
    whole = {**HEAD, **asked}
    assert parse(request, {**HEAD, **drawn[name]["drawn"]}) == parse(request, whole)


@pytest.mark.parametrize("name", [one for one in FILES if one not in {*OF_MODELS, *UPLOADED}])
async def test_what_is_drawn_has_the_digest_of_its_file(
    drawn: dict[str, Any], stage: Stage, name: str
) -> None:
    await declare(stage, DECLARED.get(name, RISK))
    (file,) = [one for one in EXAMPLES if one.stem == name] or [None]
    scientist = stage.scientist("bank-a")
    head = {"project": stage.ids["project"], "purpose": "credit-scoring"}
    if file is None:
        datasets = [stage.ids[f"{bank}.dataset"] for bank in ("bank-a", "bank-b", "bank-c")]
        asked = {**yaml.safe_load(FILES[name]), **head, "datasets": datasets}
    else:
        asked = on_stage(file, stage)
    made = {**asked, **{k: v for k, v in drawn[name]["drawn"].items() if k not in {*HEAD}}}
    if name == "psi":  # its parties have other names on the stage
        made = {**made, **{k: asked[k] for k in ("learns", "columns")}}
    told = await stage.services.drafts.check(scientist, asked)
    found = await stage.services.drafts.check(scientist, made)
    assert told.problems == ()
    assert found.digest == told.digest != ""
