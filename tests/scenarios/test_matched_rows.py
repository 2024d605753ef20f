"""Rows that match at three banks, and exact figures of these alone: real processes and channels."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.owner.matchedrows import ENDING
from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.kit.errors import SecureFlowError
from tests.nursery import Born
from tests.survival.entry import DIRECTORY
from tests.survival.world import MORTAL, ROOT, await_end, bank_names, verified

pytestmark = pytest.mark.full
COMMON = [f"138001380{n:02}" for n in range(12)]
BANKS = tuple(bank_names(3))
POLICY = 'permit(principal, action == Action::"pipeline", resource);'


def table(bank: str) -> dict[str, int]:
    """Phone → age: twelve that all have, five of its own, in an order of its own."""
    drawn = random.Random(bank)
    own = [f"1{3 + BANKS.index(bank)}9001390{n:02}" for n in range(5)]
    phones = drawn.sample([*COMMON, *own], len(COMMON) + len(own))
    return {phone: drawn.randrange(20, 80) for phone in phones}


def dataset(directory: Path, bank: str) -> DatasetConfig:
    path = directory / f"{bank}.csv"
    rows = "".join(f"{phone},{age}\n" for phone, age in table(bank).items())
    path.write_text(f"phone,age\n{rows}")
    columns = [{"name": "phone", "type": "text"},
               {"name": "age", "type": "number", "bounds": [0, 100]}]  # fmt: skip
    config = {"name": "customers", "path": str(path), "format": "csv", "columns": columns}
    return parse(DatasetConfig, {**config, "probing": {"limit": 200}}, "dataset")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("rows")
    datasets = {bank: dataset(directory, bank) for bank in BANKS}
    (directory / "points").mkdir()
    surroundings = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", DIRECTORY: str(directory / "points")}
    entry: dict[str, Any] = {
        "agent": ("-m", "tests.survival.intersecting"), "server": MORTAL,
    }  # fmt: skip
    with Platform(
        directory / "p", bank_names(3), datasets, policy=POLICY, child=Born,
        environment=surroundings,
        entry=entry, sealing=False,
    ) as built:  # fmt: skip
        built.build()
        yield built


def asked(place: Platform, **match: Any) -> dict[str, Any]:
    datasets = [owner.dataset_id for owner in place.parties.values()]
    step = {
        "id": "match", "kind": "psi", "key": ["phone"], "learns": "all", "receiver": BANKS[0],
        "columns": {bank: {"key": ["phone"]} for bank in BANKS}, "most_rows": 20, "minimum": 10,
        **match,
    }  # fmt: skip
    queries = [{"name": "rows", "measure": "count"},
               {"name": "ages", "measure": "sum", "columns": ["age"]}]  # fmt: skip
    sums = {"kind": "mpc", "program": {"name": "joint-sums", "queries": queries}}
    fit = {"kind": "preparation", "columns": ["age"],
           "steps": [{"step": "standardise", "columns": ["age"]}]}  # fmt: skip
    rows = {"rows": {"step": "match"}}
    return {
        "project": place.project, "name": "overlap", "purpose": "credit scoring",
        "datasets": datasets, "kind": "pipeline", "attempts": 1,
        "steps": [step, {"id": "sums", **sums, **rows}, {"id": "fit", **fit, **rows}],
    }  # fmt: skip


def test_figures_are_those_of_the_rows_that_match_and_no_others(place: Platform) -> None:
    wanted = sum(table(bank)[phone] for bank in BANKS for phone in COMMON)
    with place.client("bank-a") as client:
        job = await_end(client, client.jobs.submit(asked(place)).id)
        assert job.state == "succeeded", str(job.error)
        match, sums, fit = (client.jobs.get(part_id(job.id, number)) for number in (1, 2, 3))
        answers = {one["name"]: one["rows"][0]["value"] for one in (sums.report or {})["answers"]}
        assert answers == {"rows": 3 * len(COMMON), "ages": wanted}
        rows = sums.spec["rows"]
        assert rows == fit.spec["rows"]
        assert rows["job"] == match.id
        assert [one["party"] for one in rows["selections"]] == list(BANKS)
        together = [row for row in client.jobs.explain(job.id)["disclosure"] if row.get("together")]
        assert any("the rows alone that match" in row["sees"] for row in together)
    assert verified(place, job.id)
    assert all(verified(place, one.id) for one in (match, sums, fit))
    agents = Path(place.parties["bank-a"].config).parent.parent
    assert not list(agents.rglob(f"*{ENDING}")), "what is kept of the matches goes with the job"


def test_a_party_that_would_not_learn_is_named_before_anything_runs(place: Platform) -> None:
    with place.client("bank-a") as client, pytest.raises(SecureFlowError) as caught:
        client.jobs.submit(asked(place, learns="bank-a"))
    assert caught.value.code == "contradictory_spec"
    assert "bank-b does not learn which of its rows match in match" in caught.value.message
