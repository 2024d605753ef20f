"""`secureflow strategy`: it needs no centre, and says what a job file takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.strategylist import entries
from secureflow.domain.specs.training import TrainingPlan


def test_every_one_is_listed(cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = cli("strategy", "list")
    assert (code, err) == (0, "")
    assert {one.name for one in entries()} <= set(out.split())
    assert not centre.asked
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert "每个坐标取中位数" in cli("strategy", "list")[1]


@pytest.mark.parametrize("name", [one.name for one in entries()])
def test_what_is_shown_can_be_put_into_a_job_file(cli: Any, name: str) -> None:
    code, out, err = cli("strategy", "show", name)
    assert code == 0
    assert name in out
    plan = yaml.safe_load(err.strip().removeprefix("→").strip())["plan"]
    (member,) = plan
    made = parse(TrainingPlan, plan, "plan")
    assert parse(TrainingPlan, {member: _bare(plan[member])}, "plan") == made


def _bare(given: dict[str, Any]) -> dict[str, Any]:
    """Return it without parameters: what is shown are the defaults."""
    return {key: value for key, value in given.items() if key in {"name", "rule"}}


def test_as_json_it_has_ranges_and_papers(cli: Any) -> None:
    found = json.loads(cli("strategy", "show", "krum", "-o", "json")[1])
    assert found["protections"] == ["sealed"]
    assert found["smallest_roster"] == 6
    assert "Blanchard" in found["paper"]
    assert [one["name"] for one in found["parameters"]] == ["malicious", "select"]
    assert found["parameters"][0]["most"] == 127


def test_one_that_there_is_none_of_is_told(cli: Any) -> None:
    code, _, err = cli("strategy", "show", "swarm")
    assert code != 0
    assert "swarm" in err
    assert "strategy list" in err
