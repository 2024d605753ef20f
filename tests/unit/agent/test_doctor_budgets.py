"""What the doctor says of privacy budgets after a restore: a locked one is not healthy."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.edge.ownchecks import check_budgets
from secureflow.agent.record.restored import settle
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.kit.errors import SecureFlowError

DATASET = {
    "name": "people",
    "format": "csv",
    "path": "people.csv",
    "columns": [{"name": "age", "type": "number", "bounds": [0, 100]}],
    "privacy": {"domain": "people", "epsilon": 3.0, "delta": 1e-6},
}


@pytest.mark.parametrize("fact", ["restored", "record_behind"])
def test_a_locked_budget_is_named_with_the_way_out(tmp_path: Path, fact: str) -> None:
    settings = AgentSettings(
        directory=tmp_path, organisation="bank-a", server="https://centre.example",
        link="centre.example:1", trust_domain="example.org",
        datasets=(parse(DatasetConfig, DATASET),),
    )  # fmt: skip
    so_far = Diagnosis(tmp_path / "agent.yaml", settings=settings)
    with contextlib.closing(RecordStore(settings.record)) as store:
        assert check_budgets(so_far) == "1 privacy budget, none locked"
        with store.transaction():
            store.set_fact(fact, {"taken_at": 1, "settled": ["others"]})
        with pytest.raises(SecureFlowError) as locked:
            check_budgets(so_far)
        assert locked.value.code == "budget_locked"
        assert "people" in locked.value.message
        assert "secureflow agent data settle people" in locked.value.hint
        with store.transaction():
            settle(store, "people")
        assert check_budgets(so_far) == "1 privacy budget, none locked"
